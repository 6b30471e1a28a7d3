"""The course of a request: choose the version, read, encode, score, count, and have a shadow score it too."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctrfast.errors import DataError
from ctrfast.metrics import first_label
from service.problems import BadRowError, OverloadedError
from service.registry import LATEST
from service.scoring.bodies import Impressions
from service.served import Served
from service.wiring import Services

Ids = npt.NDArray[np.int32]
Scores = npt.NDArray[np.float32]
Read = Callable[[Served], Impressions]


@dataclass(frozen=True, slots=True)
class Target:
    """Who shall score. Without version and alias the model's traffic decides, as a rule `latest`."""

    project: str
    name: str
    version: int | None = None
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """by_label: probabilities (R,), or (R, T) of several labels. ids: (R, S), local. at: when it was done."""

    served: Served
    by_label: Scores
    ids: Ids
    at: float

    @property
    def probabilities(self) -> Scores:
        """Probabilities (R,), of the first label."""
        return first_label(self.by_label)

    @property
    def tasks(self) -> Sequence[str]:
        """Names of the labels, where there are several."""
        return self.served.scorer.tasks

    @property
    def unseen(self) -> Mapping[str, int]:
        """Per id field, how many values got the unseen id."""
        return self.served.scorer.encoder.count_unseen(self.ids)

    @property
    def calibrated(self) -> Scores:
        """Calibrated probabilities (R,), of the first label."""
        return self.served.scorer.calibrate(self.probabilities)


class Course:
    """Scores requests of one API process. Belongs to its event loop."""

    def __init__(self, services: Services) -> None:
        self._shelf = services.shelf
        self._shadow = services.shadow
        self._telemetry = services.telemetry
        self._most_rows = services.settings.max_scoring_rows
        self._rows = 0  # under way

    async def run(self, target: Target, read: Read) -> Scored:
        """Score a request.

        Args:
            target: who shall.
            read: the impressions, in the columns of a version.

        Raises:
            NotFoundError, VersionRemovedError, ModelUnavailableError: there is no such version, or it cannot score.
            OverloadedError: too many rows are under way.
            BadRowError: a value has the wrong type. Whatever `read` raises.
        """
        is_any = target.version is None and target.alias is None
        served = await self._version(target)
        started = time.perf_counter()
        impressions = read(served)
        if is_any and (traffic := self._shelf.traffic(target.project, target.name)) is not None:
            first = impressions.first() if traffic.reads_row else None
            default, served = served, await self._shelf.by_traffic(target.project, target.name, first)
            if served is not default:
                impressions = read(served)
        self._telemetry.scoring_seconds["parse"] += time.perf_counter() - started
        scored = await self._score(served, impressions)
        if is_any and impressions.rows and self._shadow.due(target.project, target.name):
            self._shadow.take(served, impressions.decoded().scored_by, scored.probabilities)
        return scored

    async def _version(self, target: Target) -> Served:
        if target.version is not None:
            return await self._shelf.by_version(target.project, target.name, target.version)
        return await self._shelf.by_alias(target.project, target.name, target.alias or LATEST)

    async def _score(self, served: Served, impressions: Impressions) -> Scored:
        rows = impressions.rows
        if self._rows and self._rows + rows > self._most_rows:
            raise OverloadedError()
        self._rows += rows
        try:
            part = await served.batches.score(impressions)
        except DataError as error:
            raise BadRowError(error.message, path=impressions.place(error.path)) from error
        finally:
            self._rows -= rows
        return Scored(served, part.probabilities, part.ids, time.perf_counter())
