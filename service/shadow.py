"""Scores a share of the traffic with a shadow too, beside the requests: nobody waits for it.

    if shadow.due(project, name):                  # on the hot path: one look-up, and one number drawn where one is set
        shadow.take(served, score, scores)         # how another version scores them, and what they were answered

A queue of fixed length, in requests and in rows, lies between; what finds it full is counted and dropped. Each
comparison is logged (`service.shadow`), counted for Prometheus and summed up for `GET /v1/models/{name}/shadow`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, Counter
from sqlalchemy.exc import SQLAlchemyError

from ctrfast.errors import CtrFastError
from ctrfast.score import Scorer
from service.problems import ServiceError
from service.projects import qualified
from service.served import Served
from service.shadow_store import Pair, ShadowStore
from service.shadow_sums import Sums, compared
from service.shelf import Shelf

log = logging.getLogger("service.shadow")

_WAITING = 64  # requests
_WAITING_ROWS = 20_000  # raw rows take kilobytes each
_FLUSH_S = 5.0
_LOGGED_SCORES = 20

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Taken:
    served: Served
    alias: str
    score: Callable[[Scorer], Scores]
    scores: Scores


class ShadowScorer:
    """Of one API process. All methods belong to one event loop.

    Args:
        shelf: versions, and traffic.
        store: keeps the sums.
        metrics: where the counters are registered.
        waiting: requests that may wait.
        flush_s: seconds between two writes of the sums.
    """

    def __init__(
        self,
        shelf: Shelf,
        store: ShadowStore,
        metrics: CollectorRegistry,
        waiting: int = _WAITING,
        flush_s: float = _FLUSH_S,
    ) -> None:
        self._shelf = shelf
        self._store = store
        self._flush_s = flush_s
        self._queue: asyncio.Queue[_Taken] = asyncio.Queue(waiting)
        self._waiting_rows = 0
        self._news: dict[Pair, Sums] = {}
        self._writing = asyncio.Lock()
        self._requests = Counter(
            "ctrfast_shadow_requests", "Requests for the shadow, by how they ended", ["model", "end"], registry=metrics
        )
        self._rows = Counter("ctrfast_shadow_rows", "Impressions scored by the shadow too", ["model"], registry=metrics)
        self._difference = Counter(
            "ctrfast_shadow_absolute_difference",
            "Sum of |shadow's score - answered score|",
            ["model"],
            registry=metrics,
        )

    def due(self, project: str, name: str) -> bool:
        """Whether this request is one for the shadow."""
        traffic = self._shelf.traffic(project, name)
        return traffic is not None and traffic.shadows()

    def take(self, served: Served, score: Callable[[Scorer], Scores], scores: Scores) -> None:
        """Have a request compared, or drop it.

        Args:
            served: the version that answered.
            score: scores the same impressions by another version.
            scores: its probabilities (R,).
        """
        traffic = self._shelf.traffic(served.project, served.name)
        if traffic is None or traffic.shadow is None:
            return  # it was taken away since `due`
        if self._queue.full() or self._waiting_rows + len(scores) > _WAITING_ROWS:
            self._count(served, "dropped")
            self._sum(served, traffic.shadow.alias, Sums(dropped=1))
            return
        self._waiting_rows += len(scores)
        self._queue.put_nowait(_Taken(served, traffic.shadow.alias, score, scores))

    async def run(self) -> None:
        """Compare for ever, and write the sums; runs as a task beside the requests."""
        writer = asyncio.create_task(self._write_for_ever())
        try:
            while True:
                taken = await self._queue.get()
                self._waiting_rows -= len(taken.scores)
                try:
                    await self._compare(taken)
                except Exception as error:  # the end of this task would end the shadow for good
                    known = isinstance(error, ServiceError | CtrFastError | SQLAlchemyError)
                    what = f"a request cannot be compared with its shadow: {type(error).__name__}"
                    log.info(what) if known else log.exception(what)
                    self._count(taken.served, "failed")
                    self._sum(taken.served, taken.alias, Sums(failed=1))
        finally:
            writer.cancel()
            await self.flush()

    async def flush(self) -> None:
        """Write what was summed up since the last time; what cannot be written waits for the next."""
        async with self._writing:  # one that is under way is waited for
            news, self._news = self._news, {}
            if not news:
                return
            try:
                await asyncio.to_thread(self._store.add, news)
            except SQLAlchemyError as error:
                log.warning("the figures of shadows cannot be written: %s", type(error).__name__)
                for pair, sums in news.items():
                    self._news.setdefault(pair, Sums()).add(sums)

    async def _write_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._flush_s)
            await asyncio.shield(self.flush())  # a thread that writes cannot be called back

    async def _compare(self, taken: _Taken) -> None:
        served = taken.served
        shadow = await self._shelf.by_alias(served.project, served.name, taken.alias)
        scores = await asyncio.to_thread(taken.score, shadow.scorer)
        sums = compared(taken.scores, scores)
        self._news.setdefault(_pair(served, shadow.version), Sums()).add(sums)
        model = qualified(served.project, served.name)
        self._count(served, "compared")
        self._rows.labels(model).inc(sums.rows)
        self._difference.labels(model).inc(sums.absolute)
        log.info(
            "compared",
            extra={
                "model": model,
                "version": served.version,
                "shadow_version": shadow.version,
                "rows": sums.rows,
                "scores": _shown(taken.scores),
                "shadow_scores": _shown(scores),
            },
        )

    def _sum(self, served: Served, alias: str, sums: Sums) -> None:
        version = self._shelf.version_behind(served.project, served.name, alias)
        if version is not None:
            self._news.setdefault(_pair(served, version), Sums()).add(sums)

    def _count(self, served: Served, end: str) -> None:
        self._requests.labels(qualified(served.project, served.name), end).inc()


def _pair(served: Served, shadow_version: int) -> Pair:
    return (served.project, served.name, served.version, shadow_version)


def _shown(scores: Scores) -> list[float]:
    return [round(float(score), 6) for score in scores[:_LOGGED_SCORES]]
