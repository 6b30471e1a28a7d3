"""Warnings of a job's process as messages to its worker, beside what they write into the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any


class _Teller(logging.Handler):
    def __init__(self, tell: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell({"type": "warning", "message": record.getMessage().strip()})


def tell_warnings(tell: Callable[[Mapping[str, Any]], None]) -> None:
    """From now on tell each warning of Python's and each log record of this level or above."""
    logging.basicConfig(level=logging.WARNING, handlers=[_Teller(tell), logging.StreamHandler()])
    logging.captureWarnings(True)
