"""The event streams of one API process: one look at the database for all of them.

A stream that has nothing to send waits. The feed looks four times a second at how far all jobs with waiting streams
have come, and reads with the same look what is new. A stream that begins, or is far behind, reads for itself. Streams
at the same place of one job share a reading and its bytes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from sse_starlette import ServerSentEvent

from service.events import EventPage, Place, ToldEvent
from service.jobs import JobStore
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
    """A stream that has sent all events up to its place. news: what follows, or None where it reads for itself."""

    place: Place
    news: asyncio.Future[_Piece | None]


class EventFeed:
    """Streams of events. `watch` runs as long as they do.

    Args:
        jobs: those of any project; the caller has made sure that the job is its own.
    """

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs
        self._waiters: set[_Waiter] = set()
        self._readings: dict[Place, asyncio.Future[_Piece]] = {}

    async def stream(self, job_id: str, after: int) -> AsyncIterator[bytes]:
        """A job's events after a sequence number until it ends, in one piece for each look."""
        piece = await self._read((job_id, after))
        while True:
            if piece.data:
                yield piece.data
                after = piece.newest
            if piece.finished:
                return
            news = None if piece.is_full else await self._news((job_id, after))
            piece = await self._read((job_id, after)) if news is None else news

    async def watch(self) -> None:
        """Wake streams, until it is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._waiters:
                await self._look()

    async def _look(self) -> None:
        waiting = list(self._waiters)
        try:
            news = await asyncio.to_thread(self._pieces, {waiter.place for waiter in waiting})
        except Exception as error:  # it ends the streams; this task goes on for the next ones
            for waiter in waiting:
                if not waiter.news.done():
                    waiter.news.set_exception(error)
            return
        for waiter in waiting:
            # Also where the job is gone, or the place is beyond its last event, as after a restore: reading says so.
            if not waiter.news.done() and waiter.place in news:
                waiter.news.set_result(news[waiter.place])

    async def _news(self, place: Place) -> _Piece | None:
        """Wait for events after this one."""
        waiter = _Waiter(place, asyncio.get_running_loop().create_future())
        self._waiters.add(waiter)
        try:
            return await waiter.news
        finally:
            self._waiters.remove(waiter)

    async def _read(self, place: Place) -> _Piece:
        """The next events, by the reading of another stream where one is on its way."""
        reading = self._readings.get(place)
        if reading is None:
            reading = asyncio.ensure_future(asyncio.to_thread(self._piece, place))
            self._readings[place] = reading
            reading.add_done_callback(lambda _: self._readings.pop(place))
        return await asyncio.shield(reading)

    def _piece(self, place: Place) -> _Piece:
        return _as_piece(self._jobs.events(*place, _MOST), place)

    def _pieces(self, places: Collection[Place]) -> dict[Place, _Piece | None]:
        news = self._jobs.news(places)
        return {place: None if page is None else _as_piece(page, place) for place, page in news.items()}


def _as_piece(page: EventPage, place: Place) -> _Piece:
    data = b"".join(_as_sse(event) for event in page.events)  # a piece for each costs several times as much
    newest = page.events[-1].seq if page.events else place[1]
    return _Piece(data, newest, len(page.events) == _MOST, page.finished)


def _as_sse(event: ToldEvent) -> bytes:
    data = {"seq": event.seq, "at": iso_time(event.at), **event.data}
    return ServerSentEvent(data=json.dumps(data), event=event.type, id=str(event.seq)).encode()
