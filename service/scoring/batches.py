"""Greedy batching: whatever impressions have arrived are scored at once, and nothing waits for more to come.

A few rows are scored where they are, in the event loop, at its next turn: the requests of this turn share one call, and
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

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
Numbers = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]
Score = Callable[[Ids, Numbers], Scores]

ROWS_IN_LOOP = 16  # more take longer than a thread takes to wake
_ROWS_OF_A_BATCH = 256  # beyond which a row of a larger batch is scored no faster
_THREADS = max(1, (os.cpu_count() or 1) - 1)  # the loop needs a core too

_threads = ThreadPoolExecutor(_THREADS, "scoring")  # of all versions; it starts one when it is needed


@dataclass(frozen=True, slots=True)
class _Request:
    ids: Ids
    numbers: Numbers
    scores: asyncio.Future[Scores]


class Batches:
    """Scores of one model version. All methods belong to one event loop.

    Args:
        score: ids (R, S), numbers (R, N) -> scores (R,); safe to call from several threads.
    """

    def __init__(self, score: Score) -> None:
        self._score = score
        self._waiting: deque[_Request] = deque()
        self._rows = 0  # of those
        self._idle = _THREADS
        self._is_due = False

    async def score(self, ids: Ids, numbers: Numbers) -> Scores:
        """Scores (R,) of a request's rows, in their order."""
        loop = asyncio.get_running_loop()
        scores: asyncio.Future[Scores] = loop.create_future()
        self._waiting.append(_Request(ids, numbers, scores))
        self._rows += len(ids)
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._score_waiting, loop)
        return await scores

    def _score_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_due = False
        while self._waiting:
            if self._rows <= ROWS_IN_LOOP:
                batch = self._take()
                _hand_out(batch, self._scores(batch))
            elif self._idle:
                self._idle -= 1
                _threads.submit(self._score_in_thread, self._take(), loop)
            else:
                return  # the first thread that is done takes them

    def _take(self) -> Sequence[_Request]:
        """The next batch: whole requests, one at least."""
        batch = [self._waiting.popleft()]
        rows = len(batch[0].ids)
        while self._waiting and rows + len(self._waiting[0].ids) <= _ROWS_OF_A_BATCH:
            batch.append(self._waiting.popleft())
            rows += len(batch[-1].ids)
        self._rows -= rows
        return batch

    def _scores(self, batch: Sequence[_Request]) -> Scores | Exception:
        try:
            if len(batch) == 1:
                return self._score(batch[0].ids, batch[0].numbers)
            ids = np.concatenate([request.ids for request in batch])
            return self._score(ids, np.concatenate([request.numbers for request in batch]))
        except Exception as error:  # goes to every caller of the batch
            return error

    def _score_in_thread(self, batch: Sequence[_Request], loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon_threadsafe(self._thread_is_done, batch, self._scores(batch), loop)

    def _thread_is_done(
        self, batch: Sequence[_Request], scores: Scores | Exception, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._idle += 1
        _hand_out(batch, scores)
        self._score_waiting(loop)


def _hand_out(batch: Sequence[_Request], scores: Scores | Exception) -> None:
    start = 0
    for request in batch:
        end = start + len(request.ids)
        if request.scores.done():
            pass  # its caller hung up
        elif isinstance(scores, Exception):
            request.scores.set_exception(scores)
        else:
            request.scores.set_result(scores[start:end])
        start = end
