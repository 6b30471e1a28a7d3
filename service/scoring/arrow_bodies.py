"""Arrow IPC streams as bodies: record batches of raw columns in, a batch of scores out.

A client that has its impressions in columns sends them so: no JSON is written or read. Columns of text (plain or
dictionary-encoded), of numbers, and lists of both are taken; null is missing. Nothing that could grow while it is read
is taken: no compressed buffers, and no views, which may show the same bytes in every row.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as types

from service.problems import BadValueError, MalformedBodyError, TooLargeError

Scores = npt.NDArray[np.float32]

MEDIA_TYPE = "application/vnd.apache.arrow.stream"

_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3  # org.apache.arrow.flatbuf.MessageHeader


def is_arrow(media_type: str | None) -> bool:
    """Whether a Content-Type or an Accept header names an Arrow IPC stream."""
    return media_type is not None and media_type.partition(";")[0].strip().lower() == MEDIA_TYPE


def in_arrow(path: str | None) -> str:
    """An encoder's "row.column" -> the value's place in a stream."""
    row, _, name = (path or "").partition(".")
    return f"{name}[{row}]"


def read_stream(body: bytes, max_rows: int) -> tuple[Mapping[str, Sequence[object]], int]:
    """Raw values (R,) by column, and R. Raises MalformedBodyError, BadValueError, TooLargeError."""
    source = pa.py_buffer(body)
    batches: list[pa.RecordBatch] = []
    rows = 0
    try:
        if any(_is_compressed(message.metadata) for message in pa.ipc.MessageReader.open_stream(source)):
            raise BadValueError("The Arrow IPC stream is compressed. Send it without compression.")
        with pa.ipc.open_stream(source) as reader:
            for field in reader.schema:
                if not _is_taken(field.type):
                    raise BadValueError(
                        f"The column {field.name[:100]!r} has the type {str(field.type)[:100]}. "
                        "Columns of text, of numbers, and lists of both are taken.",
                        path=field.name[:100],
                    )
            for batch in reader:
                rows += batch.num_rows
                if rows > max_rows:
                    raise TooLargeError(f"The body must hold at most {max_rows:,} rows. Send several requests.")
                batch.validate(full=True)  # an offset that points elsewhere would be followed
                batches.append(batch)
            names = reader.schema.names
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:
        raise MalformedBodyError("The body cannot be read as an Arrow IPC stream.") from error
    if len(set(names)) < len(names):
        raise BadValueError("The Arrow IPC stream has two columns of one name.")
    return {name: [value for batch in batches for value in _values(batch.column(name))] for name in names}, rows


def write_stream(columns: Mapping[str, Scores], about: Mapping[str, str]) -> bytes:
    """One record batch; an array (R, T) becomes a column of lists. about: the schema's metadata."""
    arrays = {name: pa.array(values if values.ndim == 1 else list(values)) for name, values in columns.items()}
    batch = pa.record_batch(arrays).replace_schema_metadata(dict(about))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _is_taken(kind: pa.DataType) -> bool:
    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind):
        return _is_text(kind.value_type) or types.is_integer(kind.value_type)
    return _is_text(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_null(kind)


def _is_text(kind: pa.DataType) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _values(column: pa.Array) -> Sequence[object]:
    if not isinstance(column, pa.DictionaryArray):
        values: list[object] = column.to_pylist()
        return values
    texts = column.dictionary.to_pylist()  # one object for all rows that have it
    return [None if index is None else texts[index] for index in column.indices.to_pylist()]


def _is_compressed(metadata: pa.Buffer) -> bool:
    """Whether a message's flatbuffer (Arrow's Message.fbs, verified when it was read) tells of compressed buffers."""
    data = memoryview(metadata)
    (message,) = struct.unpack_from("<I", data, 0)
    kind_at, header_at = _member(data, message, 1), _member(data, message, 2)
    kind = data[kind_at] if kind_at is not None else 0
    if header_at is None or kind not in (_DICTIONARY_BATCH, _RECORD_BATCH):
        return False
    batch = _table(data, header_at)
    if kind == _DICTIONARY_BATCH:
        batch_at = _member(data, batch, 1)
        if batch_at is None:
            return False
        batch = _table(data, batch_at)
    return _member(data, batch, 3) is not None


def _member(data: memoryview, table: int, number: int) -> int | None:
    """Where a flatbuffer table's member lies; None where it is absent."""
    (back,) = struct.unpack_from("<i", data, table)
    vtable = table - back
    (size,) = struct.unpack_from("<H", data, vtable)
    if 4 + 2 * number >= size:
        return None
    (offset,) = struct.unpack_from("<H", data, vtable + 4 + 2 * number)
    return table + offset if offset else None


def _table(data: memoryview, at: int) -> int:
    (offset,) = struct.unpack_from("<I", data, at)
    return at + int(offset)
