"""Whether the parts that the service needs are there: each named, with `ok` or what is wrong.

Without a worker jobs wait, while scoring goes on. `worker` is told in any case, and makes the service unready where
CTRFAST_REQUIRE_WORKER says so, as `ctrfast-service up` does: an API behind a balancer must not be taken out of it
because its workers are gone. `models`: the versions that aliases point at are loaded before the first request, each
that can be; from then on it is `ok`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

from sqlalchemy.exc import SQLAlchemyError

from service.problems import NotReadyError
from service.settings import Settings
from service.wiring import Services

OK = "ok"


def check_parts(services: Services) -> Mapping[str, str]:
    """The parts, each with `ok` or what is wrong.

    Raises:
        NotReadyError: one that is needed is not there; it names all of them.
    """
    settings = services.settings
    parts = {"database": _database(services), "storage": _storage(settings)}
    parts["models"] = models_to_load(services) or OK
    parts["worker"] = _worker(services) if parts["database"] == OK else "It cannot be looked for."
    needed = parts if settings.require_worker else {name: parts[name] for name in ("database", "storage", "models")}
    if any(found != OK for found in needed.values()):
        raise NotReadyError(" ".join(f"{name}: {found}" for name, found in parts.items()))
    return parts


def _database(services: Services) -> str:
    try:
        return services.database.unfit() or OK
    except SQLAlchemyError:
        return "It does not answer."


def _storage(settings: Settings) -> str:
    try:
        free = shutil.disk_usage(settings.home_dir).free
    except OSError:
        return "CTRFAST_HOME cannot be reached."
    if not os.access(settings.home_dir, os.W_OK):
        return "CTRFAST_HOME cannot be written."
    if free < settings.min_free_bytes:
        return f"Less than {settings.min_free_bytes:,} bytes are free (CTRFAST_MIN_FREE_BYTES)."
    return OK


def models_to_load(services: Services) -> str | None:
    """How many versions a start still has to load, in words; None where all that can be loaded are."""
    left = services.shelf.left_at_start()
    if left is None:
        return "The aliases were not read yet."
    return f"{left} of the versions that aliases point at are still to be loaded." if left else None


def _worker(services: Services) -> str:
    try:
        present = services.workers.present(services.settings.lease_s)
    except SQLAlchemyError:
        return "It cannot be looked for."
    return OK if present else f"None gave a sign of life within {services.settings.lease_s:g} s."
