r"""Whole lines of a raw file, plain, gzip or zstd, with their line numbers, in bounded memory.

    for first_line, text in whole_lines(Path("day_0.tsv.gz"), longest=163_880):
        ...                              # bytes; ends with a newline; first_line counts from 1

Line ends are newlines on the way out, whatever they were (`\r\n` too); the last line gets one where it lacks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from ctrfast.errors import DamagedFileError, DataError

READ_BYTES = 8 * 1024 * 1024  # text per step: large enough for arrow's parser, small enough for any machine
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # spreadsheets write it before a header
_CODECS = {".gz": ("gzip", b"\x1f\x8b"), ".zst": ("zstd", b"\x28\xb5\x2f\xfd")}


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


def whole_lines(path: Path, *, longest: int, read_bytes: int = READ_BYTES) -> Iterator[tuple[int, bytes]]:
    """Yield (number of the first line, text of one or more whole lines).

    Args:
        path: the file; compression is told by its suffix or by its first bytes.
        longest: bytes; a longer line loses its middle, so that a file without newlines cannot fill the memory. Choose
            it such that a line that long is refused in any case.
        read_bytes: text read per step.

    Raises:
        DamagedFileError: the file cannot be read, or its compressed stream is damaged or cut short.
    """
    try:
        stream = _open(path)
        try:
            yield from _lines(stream, longest, read_bytes)
        finally:
            stream.close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise DamagedFileError(f"{path} cannot be read to its end: {reason}. Fetch the file again.") from error


def count_lines(text: bytes) -> int:
    """Newlines in a text; several times as fast as `bytes.count`."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord("\n")))


def require_files(paths: list[Path]) -> None:
    """Raise DataError for the first path that is not a file."""
    for path in paths:
        if not path.is_file():
            what = "is a folder, not a file" if path.is_dir() else "does not exist"
            raise DataError(f"There is no file at {path}: it {what}. Name raw click-log files.")


def _open(path: Path) -> _Stream:
    with path.open("rb") as file:
        start = file.read(4)
    for suffix, (codec, magic) in _CODECS.items():
        if path.suffix == suffix or start.startswith(magic):
            stream: _Stream = pa.CompressedInputStream(pa.OSFile(str(path), "rb"), codec)
            return stream
    return path.open("rb")


def _lines(stream: _Stream, longest: int, read_bytes: int) -> Iterator[tuple[int, bytes]]:
    number, rest, first = 1, b"", True
    while block := stream.read(read_bytes):
        if first:
            block, first = block.removeprefix(_BYTE_ORDER_MARK), False
        cut = block.rfind(b"\n") + 1
        if cut:
            text = b"".join((rest, memoryview(block)[:cut]))
            if b"\r" in text:
                text = text.replace(b"\r\n", b"\n")
            yield number, text
            number += count_lines(text)
            rest = b""
        rest = (rest + block[cut:])[: longest + 1]
    if rest:
        yield number, rest.removesuffix(b"\r") + b"\n"
