"""Connections that the server closed while they lay in the pool are replaced before anybody uses them.

Nothing comes by a connection that lies in the pool but from a server that ends it (a restart, a crash, an
administrator) or tells of a changed setting; a host that is gone is noticed by keepalives. All of that wakes the
socket. So one look at it, without a word to the server, says that a connection is good; one that has something to read
is asked.

    engine = create_engine("postgresql+psycopg://...")
    replace_lost(engine)

Differs from SQLAlchemy's `pool_pre_ping`: that asks the server each time, which takes longer than many a query.
"""

from __future__ import annotations

import select
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError


def replace_lost(engine: Engine) -> None:
    """Have the engine's pool do so. For drivers whose connections tell their socket (`fileno`), as psycopg's do."""

    @event.listens_for(engine, "checkout")
    def _on_checkout(connection: Any, _record: Any, _proxy: Any) -> None:
        if not _has_news(connection):
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError("the server has closed the connection") from error


def _has_news(connection: Any) -> bool:
    """Whether there is something to read, an end or an error; or nothing to look at any more."""
    if connection.closed:
        return True
    socket = select.poll()
    socket.register(connection.fileno(), select.POLLIN)
    return bool(socket.poll(0))
