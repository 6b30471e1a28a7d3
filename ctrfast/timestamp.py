"""The column of a raw log that tells when a row happened."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Self

from pydantic import model_validator

from ctrfast.fields import Stored


class Timestamp(Stored):
    """When a row happened: what splits by time and the timeline need. The column may be a field's too, or no field's.

    format: how the column is written: strptime text (`%y%m%d%H`; UTC where it names no zone, cut to whole seconds),
    `unix` for whole seconds since 1970, or `number` for a whole number that grows with time, as the index of a day.
    """

    column: str
    format: str

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        if self.format in ("unix", "number"):
            return self
        try:
            datetime.strptime(datetime(2004, 10, 21).strftime(self.format), self.format)
            is_format = "%" in self.format
        except (ValueError, re.error):
            is_format = False
        if not is_format:
            raise ValueError(f"`format` must be unix, number or strptime text such as %y%m%d%H. Got {self.format!r}")
        return self
