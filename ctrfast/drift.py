"""Drift of live traffic against the training rows, by field, over the last 24 hours: the population stability index.

    tally = LiveTally(reference, fitted)
    tally.add(encoded.ids, encoded.numbers)        # with each request; safe in threads, memory does not grow
    for field in tally.report().fields:
        field.name, field.psi, field.reading       # ("C3", 0.031, "none")

`ctrfast.reference` says what the bins are; `ctrfast.data.report.drift` has the index, its source and its reading, and
how empty bins are kept from infinity: half a row is added to each bin that has rows on either side. Few rows drift by
chance; `psi_chance` is what rows like the training rows stay below 999 times in 1,000, and where that is above 0.1, a
field is said to have too few rows to tell.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ctrfast.data.report.drift import LARGE, SOME, psi, psi_by_chance
from ctrfast.fitted_schema import FittedSchema
from ctrfast.reference import Bins, Counts, Ids, Numbers, Reference
from ctrfast.schema import MISSING_ID, UNSEEN_ID

Reading = Literal["none", "some", "large", "too_few_rows"]

HOURS = 24
_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class FieldDrift:
    """A field. values: in live traffic, missing ones too; several a row in a field of lists.

    unseen, missing: shares of them, and of the training rows; `None` where there are no values, or for a number's
    `unseen`.
    """

    name: str
    kind: Literal["id", "number"]
    values: int
    psi: float
    psi_chance: float
    reading: Reading
    missing: float | None
    missing_expected: float | None
    unseen: float | None
    unseen_expected: float | None


@dataclass(frozen=True)
class DriftReport:
    """hours: how far it looks back, the running one included. rows: scored in them. fields: in the schema's order."""

    hours: int
    rows: int
    fields: tuple[FieldDrift, ...]


class LiveTally:
    """Counts live rows by bin and hour.

    Args:
        reference: of the model.
        fitted: its schema.
        clock: seconds since 1970.

    Raises:
        ArtifactError: the reference is not of this schema.
    """

    def __init__(self, reference: Reference, fitted: FittedSchema, *, clock: Callable[[], float] = time.time) -> None:
        self._expected = {name: np.array(counts, np.int64) for name, counts in reference.counts.items()}
        self._numeric = frozenset(fitted.schema_.numeric_names)
        self._bins = Bins(reference, fitted)
        self._clock = clock
        self._lock = threading.Lock()
        self._hour = 0  # the latest seen: a clock that is set back does not empty the window
        self._counts = np.zeros((HOURS, self._bins.size), np.int64)  # by hour modulo HOURS
        self._rows = np.zeros(HOURS, np.int64)

    def add(self, ids: Ids, numbers: Numbers) -> None:
        """Take in scored rows: ids (R, S) local to their tables and numbers (R, N), as `Encoded` has them."""
        places = self._bins.places(ids, numbers).ravel()
        with self._lock:
            hour = self._turn()
            if len(places) < self._bins.size:  # a histogram walks through all bins
                np.add.at(self._counts[hour], places, 1)
            else:
                self._counts[hour] += np.bincount(places, minlength=self._bins.size)
            self._rows[hour] += len(ids)

    def report(self) -> DriftReport:
        """How far the last 24 hours are from the training rows."""
        with self._lock:
            self._turn()
            counts, rows = self._counts.sum(axis=0), int(self._rows.sum())
        live = self._bins.by_field(counts)
        return DriftReport(HOURS, rows, tuple(self._field(name, found) for name, found in live.items()))

    def _turn(self) -> int:
        """Empty the hours that have passed since the last call; the place of the running one."""
        hour = max(int(self._clock() // _SECONDS_PER_HOUR), self._hour)
        for passed in range(max(self._hour + 1, hour - HOURS + 1), hour + 1):
            self._counts[passed % HOURS] = 0
            self._rows[passed % HOURS] = 0
        self._hour = hour
        return hour % HOURS

    def _field(self, name: str, live: Counts) -> FieldDrift:
        expected, is_number = self._expected[name], name in self._numeric
        missing = 0 if is_number else MISSING_ID
        index, chance = psi(expected, live), psi_by_chance(expected, live)
        return FieldDrift(
            name=name,
            kind="number" if is_number else "id",
            values=int(live.sum()),
            psi=index,
            psi_chance=chance,
            reading=_reading(index, chance, int(live.sum())),
            missing=_share(live, missing),
            missing_expected=_share(expected, missing),
            unseen=None if is_number else _share(live, UNSEEN_ID),
            unseen_expected=None if is_number else _share(expected, UNSEEN_ID),
        )


def _reading(index: float, chance: float, values: int) -> Reading:
    if not values or chance > SOME:
        return "too_few_rows"
    return "none" if index < SOME else "some" if index < LARGE else "large"


def _share(counts: Counts, place: int) -> float | None:
    total = int(counts.sum())
    return int(counts[place]) / total if total else None
