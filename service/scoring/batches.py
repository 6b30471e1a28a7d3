"""Greedy batching: whatever impressions have arrived are scored at once, and nothing waits for more to come.

A few rows are scored where they are, in the event loop, at its next turn: the requests of this turn share one pass, and
no thread has to be woken. Many rows go to a thread, so that the loop can read the next requests meanwhile; what arrives
while all threads are busy makes up the next batch. Rows are counted, never requests.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from service.scoring.bodies import Impressions
from service.scoring.passes import Part, Pass

ROWS_IN_LOOP = 16  # more take longer than a thread takes to wake
_ROWS_OF_A_BATCH = 256  # beyond which a row of a larger batch is scored no faster
_THREADS = max(1, (os.cpu_count() or 1) - 1)  # the loop needs a core too

_threads = ThreadPoolExecutor(_THREADS, "scoring")  # of all versions; it starts one when it is needed


@dataclass(frozen=True, slots=True)
class _Request:
    impressions: Impressions
    part: asyncio.Future[Part]


class Batches:
    """Scores of one model version. All methods belong to one event loop.

    Args:
        score: a pass over the impressions of some requests; safe to call from several threads.
        passed: told of each pass, in the loop.
    """

    def __init__(self, score: Callable[[Sequence[Impressions]], Pass], passed: Callable[[Pass], None]) -> None:
        self._score = score
        self._passed = passed
        self._waiting: deque[_Request] = deque()
        self._rows = 0  # of those
        self._idle = _THREADS
        self._is_due = False

    async def score(self, impressions: Impressions) -> Part:
        """Score a request's rows. Raises DataError: a value has the wrong type; `path` is "row.column"."""
        loop = asyncio.get_running_loop()
        part: asyncio.Future[Part] = loop.create_future()
        self._waiting.append(_Request(impressions, part))
        self._rows += impressions.rows
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._score_waiting, loop)
        return await part

    def _score_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_due = False
        while self._waiting:
            if self._rows <= ROWS_IN_LOOP:
                batch = self._take()
                self._hand_out(batch, self._try_score(batch))
            elif self._idle:
                self._idle -= 1
                _threads.submit(self._score_in_thread, self._take(), loop)
            else:
                return  # the first thread that is done takes them

    def _take(self) -> Sequence[_Request]:
        """The next batch: whole requests, one at least."""
        batch = [self._waiting.popleft()]
        rows = batch[0].impressions.rows
        while self._waiting and rows + self._waiting[0].impressions.rows <= _ROWS_OF_A_BATCH:
            batch.append(self._waiting.popleft())
            rows += batch[-1].impressions.rows
        self._rows -= rows
        return batch

    def _try_score(self, batch: Sequence[_Request]) -> Pass | Exception:
        try:
            return self._score([request.impressions for request in batch])
        except Exception as error:  # goes to every caller of the batch
            return error

    def _score_in_thread(self, batch: Sequence[_Request], loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon_threadsafe(self._thread_is_done, batch, self._try_score(batch), loop)

    def _thread_is_done(
        self, batch: Sequence[_Request], done: Pass | Exception, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._idle += 1
        self._hand_out(batch, done)
        self._score_waiting(loop)

    def _hand_out(self, batch: Sequence[_Request], done: Pass | Exception) -> None:
        if isinstance(done, Exception):
            parts: Sequence[Part | Exception] = [done] * len(batch)
        else:
            self._passed(done)
            parts = done.parts
        for request, part in zip(batch, parts, strict=True):
            if request.part.done():
                pass  # its caller hung up
            elif isinstance(part, Exception):
                request.part.set_exception(part)
            else:
                request.part.set_result(part)
