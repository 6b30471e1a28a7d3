"""New lines of a job's log file, read by its worker on the way, so that they outlive this machine as events."""

from __future__ import annotations

from pathlib import Path

MAX_LINE_BYTES = 2000
_CHUNK_BYTES = 1 << 16  # at one renewal of the lease


class LogTail:
    """Lines that are added from now on.

    Args:
        path: the log; it need not exist yet.
        most: lines that are wanted. What has so many lines of full length is read no further.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._at = path.stat().st_size if path.is_file() else 0
        self._bytes_left = most * MAX_LINE_BYTES
        self._rest = b""

    def read(self) -> list[str]:
        """The next whole lines, without their ends; a long one is cut."""
        if self._bytes_left <= 0 or not self._path.is_file():
            return []
        with self._path.open("rb") as file:
            file.seek(self._at)
            chunk = file.read(min(_CHUNK_BYTES, self._bytes_left))
        self._at += len(chunk)
        self._bytes_left -= len(chunk)
        *lines, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[: MAX_LINE_BYTES + 1]  # one more than is shown: it tells that the line was cut
        return [_text(line) for line in lines]

    def read_to_the_end(self) -> list[str]:
        """All lines that are left, the last one whether it has an end or not."""
        lines: list[str] = []
        before = -1
        while before != self._at:
            before = self._at
            lines += self.read()
        if self._rest:
            lines.append(_text(self._rest))
            self._rest = b""
        return lines


def _text(line: bytes) -> str:
    text = line[:MAX_LINE_BYTES].decode(errors="replace").rstrip("\r")
    return f"{text}..." if len(line) > MAX_LINE_BYTES else text
