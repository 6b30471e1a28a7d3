"""A job's log as a caller reads it: the file on this server, or the lines that are events; once or until its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service.jobs import JobStore
from service.states import FINAL, State

_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Piece:
    """Some of a log. next: where to go on. finished: nothing more will come."""

    data: bytes
    next: int
    finished: bool


class Log(Protocol):
    """Something that a log can be read from, a piece at a time."""

    def read(self, start: int) -> Piece:
        """The piece from there on; without data where nothing is there yet."""


@dataclass(frozen=True)
class FileLog:
    """The file that the job's process writes. Places are bytes."""

    jobs: JobStore
    job_id: str
    path: Path

    def exists(self) -> bool:
        """Whether this server has the file."""
        return self.path.is_file()

    def size(self) -> int:
        """Bytes that there are now."""
        return self.path.stat().st_size if self.exists() else 0

    def tail(self, most: int) -> int:
        """Where the last lines that fit into so many bytes begin; within the last one, where it alone is longer."""
        size = self.size()
        if size <= most:
            return 0
        start = at = size - most
        while data := self._bytes(at - 1, min(_CHUNK_BYTES, size - at)):  # a line that ends at `start` - 1 counts too
            if (end := data.find(b"\n")) >= 0:
                return at + end
            at += len(data)
        return start

    def read(self, start: int) -> Piece:
        """The next bytes. The job is looked at first: what it wrote before its end is then never missed."""
        has_ended = State(self.jobs.get(self.job_id).state) in FINAL
        data = self._bytes(start, _CHUNK_BYTES)
        return Piece(data, start + len(data), finished=has_ended and not data)

    async def up_to(self, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` to `end`."""
        while start < end and (data := await asyncio.to_thread(self._bytes, start, min(_CHUNK_BYTES, end - start))):
            start += len(data)
            yield data

    def _bytes(self, start: int, most: int) -> bytes:
        if start >= self.size():
            return b""
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(most)


@dataclass(frozen=True)
class StoredLog:
    """The lines that are events. Places are sequence numbers. limit: lines in one piece."""

    jobs: JobStore
    job_id: str
    limit: int

    def tail(self, most: int, lines: int | None) -> int:
        """The event after which the last lines begin that fit into so many bytes, at most `lines`; 0 where all do."""
        return self.jobs.log_tail(self.job_id, most, lines)

    def read(self, start: int) -> Piece:
        """The next lines. Raises EventsExpiredError."""
        page = self.jobs.log(self.job_id, start, self.limit)
        data = "".join(f"{line}\n" for line in page.lines).encode(errors="replace")
        return Piece(data, page.newest, page.finished)


async def follow(log: Log, start: int, look_s: float) -> AsyncIterator[bytes]:
    """All of a log from a place on, and what is added, until its job ends."""
    while True:
        piece = await asyncio.to_thread(log.read, start)
        if piece.data:
            yield piece.data
        if piece.finished:
            return
        if not piece.data:
            await asyncio.sleep(look_s)
        start = piece.next
