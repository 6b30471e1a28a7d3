"""The service's log on standard error: a line for each event, for a person or as JSON (CTRFAST_LOG_FORMAT).

    2026-01-02T03:04:05.678901Z [info     ] answered               [service.access] method=GET request_id=... status=200
    {"event": "answered", "level": "info", "logger": "service.access", "method": "GET", "request_id": "...", ...}

Records of every library pass here too. What is bound is in each record of the same task or thread: request_id and
caller of a request; job_id, kind and attempt of a job. Tracebacks hold no values of variables, which may be secrets.
"""

from __future__ import annotations

import logging
import sys
from contextlib import AbstractContextManager
from typing import Any, Literal, TextIO

import structlog
from structlog.types import EventDict, Processor

Format = Literal["console", "json"]

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def log_to(stream: TextIO, level: str, form: Format) -> None:
    """Write what this process logs to a stream.

    Args:
        stream: standard error, as a rule.
        level: the least level of the service's own records; other libraries' begin at WARNING.
        form: see above.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(form, colours=stream.isatty()))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("service").setLevel(level)


def log_to_stderr(level: str, form: Format) -> None:
    """Write what this process logs to standard error."""
    log_to(sys.stderr, level, form)


def about(**facts: object) -> AbstractContextManager[None]:
    """A block whose records hold these facts."""
    return structlog.contextvars.bound_contextvars(**facts)


def begin(**facts: object) -> None:
    """Have all further records of this task hold these facts alone."""
    structlog.contextvars.clear_contextvars()
    bind(**facts)


def bind(**facts: object) -> None:
    """Have all further records of this task hold these facts too."""
    structlog.contextvars.bind_contextvars(**facts)


def _formatter(form: Format, *, colours: bool) -> logging.Formatter:
    last: tuple[Processor, ...]
    if form == "json":
        last = (structlog.processors.format_exc_info, structlog.processors.JSONRenderer(sort_keys=True))
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)
        last = (_on_one_line, renderer)
    remove: Any = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_SHARED, processors=(remove, *last))


def _on_one_line(_logger: object, _method: str, event: EventDict) -> EventDict:
    """No text of a caller's may pass for a line of the log."""
    event["event"] = str(event["event"]).replace("\r", "\\r").replace("\n", "\\n")
    return event
