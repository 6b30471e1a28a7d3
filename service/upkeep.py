"""What an API process writes beside its requests: last uses of keys, and ends of old entries, events, versions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from service.retention import remove_old_events
from service.wiring import Services

log = logging.getLogger("service.api")

_EVERY_S = 60.0
_HOUR = 60  # rounds


async def keep_books(services: Services) -> None:
    """Write for ever; runs as a task beside the requests, and once more when it is cancelled."""
    number = 0
    try:
        while True:
            if number % _HOUR == 0:
                await _try(lambda: services.audit.forget(services.settings.audit_days), "old audit entries")
                await _try(services.browser_sessions.forget, "ends of browser sessions")
                await _try(services.removal.remove_old, "removals of old versions")
                await _try(
                    lambda: remove_old_events(services.database, services.settings.event_retention_days), "old events"
                )
            await asyncio.sleep(_EVERY_S)
            await _try(services.keys.write_uses, "last uses of keys")
            number += 1
    finally:
        await _try(services.keys.write_uses, "last uses of keys")


async def _try(write: Callable[[], object], what: str) -> None:
    try:
        await asyncio.to_thread(write)
    except SQLAlchemyError as error:
        log.warning("%s cannot be written: %s", what, type(error).__name__)
    except Exception:  # the end of this task would end the writing for good
        log.exception("%s cannot be written", what)
