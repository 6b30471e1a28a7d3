r"""Whole lines of a raw file, plain, gzip or zstd, with their line numbers, in bounded memory.

    for first_line, text, consumed in whole_lines(Source.of(Path("day_0.tsv.gz")), longest=163_880):
        ...                              # bytes; ends with a newline; first_line counts from 1

Line ends are newlines on the way out, whatever they were (`\r\n` too); the last line gets one where it lacks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePath
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from ctrfast.data.sources import Source
from ctrfast.errors import DamagedFileError

READ_BYTES = 8 * 1024 * 1024  # text per step: large enough for arrow's parser, small enough for any machine
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # spreadsheets write it before a header
_CODECS = {".gz": ("gzip", b"\x1f\x8b"), ".zst": ("zstd", b"\x28\xb5\x2f\xfd")}


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


def whole_lines(source: Source, *, longest: int, read_bytes: int = READ_BYTES) -> Iterator[tuple[int, bytes, int]]:
    """Yield (number of the first line, text of one or more whole lines, bytes of the file that were read so far).

    Args:
        source: the file; compression is told by its suffix or by its first bytes.
        longest: bytes; a longer line loses its middle, so that a file without newlines cannot fill the memory. Choose
            it such that a line that long is refused in any case.
        read_bytes: text read per step.

    Raises:
        DamagedFileError: the file cannot be read, or its compressed stream is damaged or cut short.
    """
    try:
        stored = source.open_stream()
        try:
            stream = _decompressed(source)(stored)
            for number, text in _lines(stream, longest, read_bytes):
                yield number, text, stored.tell()
        finally:
            stored.close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise DamagedFileError(f"{source} cannot be read to its end: {reason}. Fetch the file again.") from error


def count_lines(text: bytes) -> int:
    """Newlines in a text; several times as fast as `bytes.count`."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord("\n")))


def _decompressed(source: Source) -> Callable[[Any], _Stream]:
    with source.open_stream() as file:
        start = file.read(4)
    for suffix, (codec, magic) in _CODECS.items():
        if PurePath(source.name).suffix == suffix or start.startswith(magic):
            return partial(pa.CompressedInputStream, compression=codec)
    return lambda stored: stored


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
