"""Learn one field from the training rows, and write its column: ids of an id field, scaled numbers of another.

Validation and test rows leave no trace: an id that only they hold is unseen. Each field is a task of its own, and id
fields that share a table are one, so memory holds what one table needs, times the threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ctrfast.data.buckets import quantile_edges
from ctrfast.data.cells import to_arrow
from ctrfast.data.columns import ColumnFiles
from ctrfast.data.derived import bucket_keys
from ctrfast.data.field_ids import FieldIds
from ctrfast.data.keys import Keys, arrow_texts, is_hashed
from ctrfast.data.parsed import Block
from ctrfast.data.tally import BYTES_PER_KEY, KeyCounter, KeyTable
from ctrfast.data.transforms import NumberInputs, transformed
from ctrfast.data.vocabulary import Vocabulary
from ctrfast.errors import DataError
from ctrfast.fitted_schema import Statistics
from ctrfast.schema import SPLITS, IdField, NumericField

EXACT_ROWS = 2**20  # whose quantiles are exact: a field's numbers then take a few times 8 MiB while they are sorted

_ROUNDING = 1e-9
_SAMPLE_SEED = 20_160_915
_TRAIN = SPLITS.index("train")
_BYTES_PER_KEPT = 200  # of memory per kept value at the worst moment: text, count, table, and what sorting takes
_COPIES_OF_TEXT = 6  # of texts beyond 16 bytes, while they are put in order; as measured


class Moments:
    """Mean and deviation of a stream of numbers, in float64, merged block by block.

    Source: Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", Eq. 2.1: no cancellation as
    with sums of squares. The deviation is the population's (divided by n).
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0  # sum of (x - mean)^2
        self._least, self._greatest = np.inf, -np.inf

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Take numbers; NaN means missing and does not count."""
        values = values[~np.isnan(values)]
        if not len(values):
            return
        mean = float(values.mean())
        total = self.count + len(values)
        shift = mean - self.mean
        self._squares += float(((values - mean) ** 2).sum()) + shift**2 * self.count * len(values) / total
        self.mean += shift * len(values) / total
        self.count = total
        self._least, self._greatest = min(self._least, float(values.min())), max(self._greatest, float(values.max()))

    def statistics(self, with_width: bool = False) -> Statistics:
        """Mean and deviation, and where asked least and width; those of a constant or empty field divide by 1."""
        std = (self._squares / self.count) ** 0.5 if self.count else 0.0
        is_constant = std <= _ROUNDING * max(1.0, abs(self.mean))  # what rounding leaves of a constant is no deviation
        statistics = Statistics(mean=self.mean, std=1.0 if is_constant else std)
        if not with_width:
            return statistics
        width = 1.0 if is_constant else self._greatest - self._least
        return statistics.model_copy(update={"least": self._least if self.count else 0.0, "width": width})


Change = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
Part = tuple[npt.NDArray[Any], npt.NDArray[np.int8]]  # values (R,) and splits (R,) of a block


@dataclass(frozen=True)
class ParsedRows:
    """All usable rows: blocks in order, and the split of each row.

    columns: has the splits, under `split_column`. kept_bytes: of a field that is read twice, to be kept in memory.
    """

    blocks: Sequence[Block]
    columns: ColumnFiles
    split_column: str
    kept_bytes: int

    def column(self, index: int, change: Change | None = None, *, beside: int = 1) -> Iterable[Part]:
        """The parts of a parsed column, changed; can be gone over several times. beside: columns held at once."""
        column = _Column(self, index, change)
        is_small = 8 * beside * sum(block.rows for block in self.blocks) <= self.kept_bytes
        return list(column) if is_small else column

    def keys(self, column: IdColumn, edges: npt.NDArray[np.float64] | None, *, beside: int) -> Iterable[Part]:
        """The parts of an id field's keys, those of all values where it has lists. edges: of quantile buckets."""
        if column.field.separator is not None:
            return _ListKeys(self, column)
        change = None if edges is None else lambda raw: bucket_keys(raw.view(np.float64), column.field, edges)
        return self.column(column.index, change, beside=beside)

    def lengths(self, column: IdColumn) -> Iterator[npt.NDArray[np.int64]]:
        """The parts of the lengths of an id field's lists."""
        return (block.column(column.index).astype(np.int64) for block in self.blocks)


@dataclass(frozen=True)
class IdColumn:
    """An id field among the parsed columns. index: of its column. place: among the id fields."""

    index: int
    place: int
    field: IdField


@dataclass(frozen=True)
class _Column:
    rows: ParsedRows
    index: int
    change: Change | None

    def __iter__(self) -> Iterator[Part]:
        first = 0
        for block in self.rows.blocks:
            values = block.column(self.index)
            splits = self.rows.columns.read(self.rows.split_column, first, block.rows)
            yield self.change(values) if self.change else values, splits
            first += block.rows


@dataclass(frozen=True)
class _ListKeys:
    rows: ParsedRows
    column: IdColumn

    def __iter__(self) -> Iterator[Part]:
        for block, (lengths, splits) in zip(self.rows.blocks, _Column(self.rows, self.column.index, None), strict=True):
            yield block.list_keys(self.column.place), np.repeat(splits, lengths.astype(np.int64))


def fit_numbers(
    rows: ParsedRows, index: int, field: NumericField, known: Statistics | None = None
) -> tuple[Statistics, list[int]]:
    """Learn a numeric field and write its column.

    Args:
        rows: what to learn from.
        index: place of the field among the parsed columns.
        field: the field.
        known: statistics of an earlier dataset; nothing is then learned.

    Returns:
        Statistics of the training rows; missing values per split.
    """
    moments, missing = Moments(), np.zeros(len(SPLITS), np.int64)
    column = rows.column(index, lambda values: transformed(values, field))
    for values, splits in column:
        moments.add(values[splits == _TRAIN])
        missing += np.bincount(splits[np.isnan(values)], minlength=len(SPLITS))[: len(SPLITS)]  # without dropped rows
    statistics = known or moments.statistics(with_width=field.scale == "min_max")
    inputs = NumberInputs((field,), {field.name: statistics})
    rows.columns.write(field.name, (inputs.of_transformed(values[:, None])[:, 0] for values, _ in column))
    return statistics, missing.tolist()


def fit_edges(rows: ParsedRows, index: int, field: IdField) -> tuple[float, ...] | None:
    """Learn the edges of a field of quantile buckets; None for any other field.

    They are exact for up to `EXACT_ROWS` rows. Of more, about so many are looked at, which each row's place among all
    decides: the same rows give the same edges, however much memory there is.
    """
    if field.bucket != "quantile":
        return None
    total, first, parts = sum(block.rows for block in rows.blocks), 0, []
    for raw, splits in rows.column(index):
        values = raw.view(np.float64)
        wanted = (splits == _TRAIN) & ~np.isnan(values)
        if total > EXACT_ROWS:
            bits = np.random.PCG64(_SAMPLE_SEED).advance(first)  # one step per draw
            wanted &= np.random.Generator(bits).random(len(values)) < EXACT_ROWS / total
        parts.append(values[wanted])
        first += len(values)
    return tuple(quantile_edges(np.concatenate(parts), field.buckets or 1).tolist())


@dataclass(frozen=True)
class Known:
    """A vocabulary of an earlier dataset. grow: new values are appended; else they are unseen."""

    vocabulary: Vocabulary
    grow: bool


def fit_ids(
    rows: ParsedRows,
    columns: Sequence[IdColumn],
    *,
    edges: tuple[float, ...] | None,
    min_count: int,
    folder: Path,
    memory: int,
    known: Known | None = None,
) -> Vocabulary:
    """Learn the vocabulary of a table and write the columns of the id fields that use it.

    Args:
        rows: what to learn from.
        columns: of the field that has the table, then of those that share it.
        edges: what `fit_edges` found.
        min_count: values that occur fewer times in the training rows are not kept; the field's own comes first.
        folder: for counts that do not fit the memory.
        memory: bytes that the work may take.
        known: what an earlier dataset learned.

    Raises:
        DataError: the values to keep do not fit the memory.
    """
    edges_of = None if edges is None else np.array(edges, dtype=np.float64)
    parts = [rows.keys(column, edges_of, beside=len(columns)) for column in columns]
    field = columns[0].field
    if field.hash_buckets is not None:
        vocabulary = Vocabulary.fit(pa.array([], pa.string()), np.empty(0, np.int64))
    elif known is not None and not known.grow:
        vocabulary = known.vocabulary
    else:
        least = min_count if field.min_count is None else field.min_count
        places = [column.place for column in columns]
        learned = _learn(itertools.chain.from_iterable(parts), rows.blocks, places, field.name, least, folder, memory)
        vocabulary = known.vocabulary.grown(learned) if known else learned
    field_ids = FieldIds(field, vocabulary)
    for column, column_parts in zip(columns, parts, strict=True):
        if column.field.separator is not None:
            rows.columns.write_counts(column.field.name, rows.lengths(column))
        rows.columns.write(column.field.name, (field_ids.of_keys(keys) for keys, _ in column_parts))
    return vocabulary


def _learn(
    column: Iterable[Part],
    blocks: Sequence[Block],
    places: Sequence[int],
    name: str,
    min_count: int,
    folder: Path,
    memory: int,
) -> Vocabulary:
    with KeyCounter(folder, most=memory // BYTES_PER_KEY) as counter:
        for keys, splits in column:
            counter.add(keys, splits == _TRAIN)
        kept, counts = counter.kept(min_count)
    room = memory - len(kept) * _BYTES_PER_KEPT
    texts = _texts(kept, blocks, places, room // _COPIES_OF_TEXT) if room >= 0 else None
    if texts is None:
        raise DataError(
            f"The vocabulary of {name!r} does not fit the memory limit: {len(kept):,} values occur {min_count} times "
            "or more. Raise `min_count` or `memory_limit`, or leave the field out.",
            path=name,
        )
    return Vocabulary.fit(texts, counts)


def _texts(keys: Keys, blocks: Sequence[Block], fields: Sequence[int], most_bytes: int) -> pa.Array | None:
    """Texts (K,) of distinct keys; those of hashed ones are found in the blocks. None: they have more bytes.

    fields: that have these keys.
    """
    hashed = np.flatnonzero(is_hashed(keys))
    texts = arrow_texts(keys)
    if not len(hashed):
        return texts
    table = KeyTable(keys[hashed])
    found, parts, places, size = np.zeros(len(hashed), bool), [], [], 0
    for block, field in itertools.product(blocks, fields):
        block_keys, block_texts = block.texts(field)
        place = table.places(block_keys)
        new = np.flatnonzero((place >= 0) & ~found[place])
        found[place[new]] = True
        parts.append(block_texts.take(to_arrow(new)))
        places.append(place[new])
        size += parts[-1].nbytes
        if size > most_bytes:
            return None
    order = np.argsort(np.concatenate(places))
    at = np.arange(len(keys))
    at[hashed] = len(keys) + np.arange(len(hashed))
    both = pa.concat_arrays([texts, pa.concat_arrays(parts).take(to_arrow(order))])
    return both.take(to_arrow(at))
