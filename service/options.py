"""What travels beside a job's kind and spec: how urgent it is, until when it must be done, and its labels.

{"kind": "train", "spec": {...}, "priority": 10, "deadline_s": 3600, "labels": {"team": "ads", "night": "2024-05-01"},
 "webhook": {"url": "https://ads.example/jobs", "events": ["state"]}}
GET /v1/jobs?label=team=ads&label=night=2024-05-01
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.problems import BadValueError

MOST_LABELS = 20
LONGEST_DEADLINE_S = 366 * 86_400
_KEY = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
_VALUE = r"[^\x00-\x1f\x7f]{0,100}"
_FILTER = re.compile(f"({_KEY})=({_VALUE})")

LabelKey = Annotated[str, Field(pattern=f"^{_KEY}$")]
LabelValue = Annotated[str, Field(pattern=f"^{_VALUE}$")]


class Webhook(BaseModel):
    """Where events of a job are sent, and which (`service.webhooks`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(min_length=1, max_length=2000, examples=["https://ads.example/jobs"])
    events: tuple[Literal["state", "metric", "warning"], ...] = Field(default=("state",), min_length=1, max_length=3)


class JobOptions(BaseModel):
    """Options of any kind of job.

    priority: -100 to 100; a higher one is served first. deadline_s: seconds after submission at which a job that has
    not ended fails. labels: up to 20 short texts to find the job by. webhook: who is told of its events.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    priority: int = Field(default=0, ge=-100, le=100, strict=True)
    deadline_s: float | None = Field(default=None, gt=0, le=LONGEST_DEADLINE_S, strict=True)
    labels: dict[LabelKey, LabelValue] = Field(default={}, max_length=MOST_LABELS)
    webhook: Webhook | None = None

    def given(self) -> dict[str, Any]:
        """Those that differ from the defaults."""
        values = self.model_dump(mode="json", include=set(JobOptions.model_fields))
        return {name: value for name, value in values.items() if value}


NO_OPTIONS = JobOptions()


def parse_label_filters(texts: Sequence[str]) -> dict[str, str]:
    """Read `key=value` texts; a job must have all of them.

    Raises:
        BadValueError: a text has another form, or two ask for different values of one label.
    """
    wanted: dict[str, str] = {}
    for index, text in enumerate(texts):
        match = _FILTER.fullmatch(text)
        path = f"label.{index}"
        if match is None:
            raise BadValueError(f"`label` must read key=value. Got {text[:200]!r}.", path=path)
        key, value = match.groups()
        if wanted.setdefault(key, value) != value:
            raise BadValueError(f"The label {key!r} is asked for twice. Give one value for each label.", path=path)
    return wanted
