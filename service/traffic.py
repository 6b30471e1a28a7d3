"""Which version answers a request that names none: an A/B split over aliases, and a shadow that scores beside it.

    {"split": {"by": "user", "shares": {"latest": 0.9, "candidate": 0.1}}, "shadow": {"alias": "next", "share": 0.05}}

    place = blake2b(project, model, value of `by`) in [0, 1)      the alias whose part of [0, 1) holds it

The same value always meets the same alias, in every process; another model's places are independent of it. `latest`
has the first part and other aliases follow by name: of two aliases, the one whose share grows loses no caller.
A request whose first row lacks the field, and every request where `by` is null, is placed at random.
"""

from __future__ import annotations

import hashlib
import math
import random
from bisect import bisect_right
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.registry import LATEST
from service.specs import Name

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

_SUM_TOLERANCE = 1e-6


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Split(_Part):
    """shares: of requests, by alias; together 1. by: the input field whose value decides; null: chance does."""

    by: str | None = None
    shares: Annotated[dict[Name, Share], Field(min_length=1, max_length=20)]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        total = math.fsum(self.shares.values())
        if abs(total - 1) > _SUM_TOLERANCE:
            raise ValueError(f"`shares` must add up to 1. Got {total:g}")
        return self


class Shadow(_Part):
    """alias: scores a share of the requests too; its scores are compared and answer nobody."""

    alias: Name
    share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class Traffic(_Part):
    """What a model's traffic does. Without a split `latest` answers."""

    split: Split | None = Field(default=None, examples=[{"by": "C1", "shares": {"latest": 1.0}}])
    shadow: Shadow | None = Field(default=None, examples=[{"alias": "latest", "share": 0.05}])

    @property
    def aliases(self) -> dict[str, str]:
        """Alias -> where in the settings it stands."""
        found = {alias: f"split.shares.{alias}" for alias in self.split.shares} if self.split is not None else {}
        return {**found, **({self.shadow.alias: "shadow.alias"} if self.shadow is not None else {})}


class TrafficTable:
    """Traffic made ready for the hot path.

    Args:
        project, name: of the model.
        traffic: its settings.
        chance: numbers in [0, 1).
    """

    def __init__(self, project: str, name: str, traffic: Traffic, chance: Callable[[], float] = random.random) -> None:
        shares = traffic.split.shares if traffic.split is not None else {LATEST: 1.0}
        self._aliases = sorted(
            (alias for alias in shares if shares[alias] > 0), key=lambda alias: (alias != LATEST, alias)
        )
        self._ends = list(accumulate(shares[alias] for alias in self._aliases))[:-1]  # the last part takes the rest
        self._by = traffic.split.by if traffic.split is not None else None
        self._salt = f"{project}\0{name}\0".encode()
        self._chance = chance
        self.shadow = traffic.shadow
        self.aliases = [*self._aliases, *([traffic.shadow.alias] if traffic.shadow is not None else [])]

    @property
    def reads_row(self) -> bool:
        """Whether `alias_for` looks at the row."""
        return bool(self._ends) and self._by is not None

    def alias_for(self, row: Mapping[str, Any] | None) -> str:
        """The alias that answers a request. row: its first one, raw."""
        if not self._ends:
            return self._aliases[0]
        value = _text(row.get(self._by)) if row is not None and self._by is not None else None
        place = self._chance() if value is None else place_of(self._salt, value)
        return self._aliases[bisect_right(self._ends, place)]

    def shadows(self) -> bool:
        """Whether the shadow scores this request."""
        return self.shadow is not None and self._chance() < self.shadow.share


def place_of(salt: bytes, value: str) -> float:
    """A value's place in [0, 1)."""
    digest = hashlib.blake2b(salt + value.encode(errors="surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2**53  # the bits that a float keeps


def _text(value: object) -> str | None:
    """A raw value as the encoder reads it: 5, 5.0 and "5" are one. None and "" mean missing, as anything else does."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(int(value)) if math.isfinite(value) and value == int(value) else str(value)
