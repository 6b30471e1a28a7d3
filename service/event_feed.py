"""The event streams of one API process: one look at the database for all of them.

A stream that has nothing to send waits. The feed looks four times a second at how far all jobs with waiting streams
have come, and wakes the streams of those that have new events. Streams of one job that are at the same place are
served by one reading.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from sse_starlette import ServerSentEvent

from service.jobs import JobStore
from service.tables import Event
from service.times import iso_time

_LOOK_S = 0.25
_MOST = 500  # events in a piece


@dataclass(frozen=True)
class _Piece:
    """Events as a stream sends them. newest: the last. is_full: there may be more now. finished: none can follow."""

    data: bytes
    newest: int
    is_full: bool
    finished: bool


@dataclass(frozen=True, eq=False)
class _Waiter:
    """A stream that has sent all events up to `after`."""

    job_id: str
    after: int
    woken: asyncio.Future[None]


class EventFeed:
    """Streams of events. `watch` runs as long as they do.

    Args:
        jobs: those of any project; the caller has made sure that the job is its own.
    """

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs
        self._waiters: set[_Waiter] = set()
        self._readings: dict[tuple[str, int], asyncio.Future[_Piece]] = {}

    async def stream(self, job_id: str, after: int) -> AsyncIterator[bytes]:
        """A job's events after a sequence number until it ends, in one piece for each look."""
        while True:
            piece = await self._read(job_id, after)
            if piece.data:
                yield piece.data
                after = piece.newest
            if piece.finished:
                return
            if not piece.is_full:
                await self._news(job_id, after)

    async def watch(self) -> None:
        """Wake streams, until it is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._waiters:
                await self._look()

    async def _look(self) -> None:
        waiting = list(self._waiters)
        try:
            newest = await asyncio.to_thread(self._jobs.newest_events, {waiter.job_id for waiter in waiting})
        except Exception as error:  # it ends the streams; this task goes on for the next ones
            for waiter in waiting:
                if not waiter.woken.done():
                    waiter.woken.set_exception(error)
            return
        for waiter in waiting:
            # Also where the job is gone, or the place is beyond its last event, as after a restore: reading says so.
            if not waiter.woken.done() and newest.get(waiter.job_id) != waiter.after:
                waiter.woken.set_result(None)

    async def _news(self, job_id: str, after: int) -> None:
        """Wait for events after this one."""
        waiter = _Waiter(job_id, after, asyncio.get_running_loop().create_future())
        self._waiters.add(waiter)
        try:
            await waiter.woken
        finally:
            self._waiters.remove(waiter)

    async def _read(self, job_id: str, after: int) -> _Piece:
        """The next events, by the reading of another stream where one is on its way."""
        place = (job_id, after)
        reading = self._readings.get(place)
        if reading is None:
            reading = asyncio.ensure_future(asyncio.to_thread(self._piece, job_id, after))
            self._readings[place] = reading
            reading.add_done_callback(lambda _: self._readings.pop(place))
        return await asyncio.shield(reading)

    def _piece(self, job_id: str, after: int) -> _Piece:
        page = self._jobs.events(job_id, after, _MOST)
        data = b"".join(_as_sse(event) for event in page.events)  # a piece for each costs several times as much
        newest = page.events[-1].seq if page.events else after
        return _Piece(data, newest, len(page.events) == _MOST, page.finished)


def _as_sse(event: Event) -> bytes:
    data = {"seq": event.seq, "at": iso_time(event.at), **event.data}
    return ServerSentEvent(data=json.dumps(data), event=event.type, id=str(event.seq)).encode()
