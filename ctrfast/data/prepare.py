"""Raw click logs -> a dataset: read once, split, learn from the training split alone, encode, publish at once.

    report = prepare([Path("clicks.tsv.gz")], preset("criteo"), Path("criteo"), min_count=2)
    report.rows            # {'train': ..., 'valid': ..., 'test': ...}

The same files and settings give the same bytes. Memory holds one block of rows and the distinct values of each field.
"""

from __future__ import annotations

import math
import re
import resource
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from ctrfast.data.ahead import in_order
from ctrfast.data.encode import Encoder
from ctrfast.data.fit import Fitter
from ctrfast.data.lines import require_files
from ctrfast.data.parsed import LabelledBlock, ParsedBlocks
from ctrfast.data.raw import read_raw
from ctrfast.data.rejects import RejectWriter
from ctrfast.data.shards import Dataset, DatasetWriter
from ctrfast.errors import ConfigError, DataError, unknown_name
from ctrfast.folders import new_folder, refuse_existing
from ctrfast.schema import SPLITS, Schema

REJECTED_FILE = "rejected.parquet"
_HOW = ("random", "sequential")


@dataclass(frozen=True)
class PrepareProgress:
    """How far the work is. stage: "read", "fit" or "write". rows: of that stage; total_rows: None while reading."""

    stage: str
    rows: int
    total_rows: int | None


class PrepareReport(BaseModel):
    """What was prepared. rejected: rows per reason. table_rows: V of the fused embedding table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset_hash: str
    rows: dict[str, int]
    label_rate: dict[str, float]
    rejected: dict[str, int]
    table_rows: int


@dataclass(frozen=True)
class Splitter:
    """Which split a row belongs to, from its place among all usable rows.

    random: one draw per row from the seed. sequential: the first rows train, then valid, the last ones test.
    """

    how: str
    valid_fraction: float
    test_fraction: float
    seed: int
    rows: int

    def splits(self, first_row: int, rows: int) -> npt.NDArray[np.int8]:
        """(R,) index into `SPLITS` of the rows from `first_row` on; independent of how rows come in blocks."""
        test, valid = Fraction(str(self.test_fraction)), Fraction(str(self.valid_fraction))
        if self.how == "random":
            bits = np.random.PCG64(self.seed).advance(first_row)  # one step per draw
            place: npt.NDArray[np.float64] | npt.NDArray[np.int64] = np.random.Generator(bits).random(rows)
            edges = [float(1 - valid - test), float(1 - test)]
        else:
            place = np.arange(first_row, first_row + rows)
            # Fractions, since 10 * (1 - 0.9) in floats is below 1 and its floor 0.
            edges = [math.floor(self.rows * (1 - valid - test)), math.floor(self.rows * (1 - test))]
        return np.searchsorted(edges, place, side="right").astype(np.int8)


def prepare(
    raw: Sequence[Path],
    schema: Schema,
    out: Path,
    *,
    min_count: int = 1,
    split: str = "random",
    valid_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 1,
    memory_limit: int | None = None,
    on_progress: Callable[[PrepareProgress], None] | None = None,
) -> PrepareReport:
    """Prepare a dataset.

    Args:
        raw: raw files, plain, .gz or .zst, in the order of their rows.
        schema: what their columns mean.
        out: folder of the dataset; it must not exist.
        min_count: id values that occur fewer times in the training split share the unseen id.
        split: `random` (per row, by seed) or `sequential` (train, then valid, then test, in file order).
        valid_fraction: share of rows to validate on.
        test_fraction: share of rows to test on; the rest trains.
        seed: of the random split.
        memory_limit: bytes of resident memory; the work stops rather than go beyond.
        on_progress: called after each block; what it raises stops the work and leaves nothing behind.

    Raises:
        ConfigError: a setting breaks a rule, or `out` exists.
        DataError: a file is missing, damaged or of another layout, no row can be used, or the memory limit is reached.
    """
    _check_settings(min_count, split, valid_fraction, test_fraction, seed)
    refuse_existing(out)
    require_files(list(raw))

    def report(progress: PrepareProgress) -> None:
        _check_memory(memory_limit)
        if on_progress is not None:
            on_progress(progress)

    with new_folder(out) as folder:
        parsed = ParsedBlocks(folder / "parsed", schema)
        with RejectWriter(folder / REJECTED_FILE) as rejects:
            _parse(raw, schema, rejects, parsed, report)
        splitter = Splitter(split, valid_fraction, test_fraction, seed, parsed.rows)
        fitter = Fitter(schema)
        for block in parsed:
            fitter.add(block.columns, splitter.splits(block.first_row, block.rows) == SPLITS.index("train"))
            report(PrepareProgress("fit", block.first_row + block.rows, parsed.rows))
        if not fitter.rows:
            raise DataError(f"The training split must have rows. Got none of {parsed.rows}. Lower the other fractions.")
        encoder = fitter.encoder(min_count)
        writer = DatasetWriter(folder, encoder)
        missing = _write(parsed, splitter, encoder, writer, report)
        parsed.remove()
        settings = {
            "raw": [path.name for path in raw],
            "min_count": min_count,
            "split": split,
            "valid_fraction": valid_fraction,
            "test_fraction": test_fraction,
            "seed": seed,
        }
        writer.finish(settings, rejects.counts, missing)
    return _report(Dataset.open(out, verify=False))


def _parse(
    raw: Sequence[Path],
    schema: Schema,
    rejects: RejectWriter,
    parsed: ParsedBlocks,
    report: Callable[[PrepareProgress], None],
) -> None:
    try:
        # Closed before the folder may be removed: no thread must write into it by then.
        with closing(parsed.add_all(read_raw(raw, schema, rejects=rejects))) as written:
            for _ in written:
                report(PrepareProgress("read", parsed.rows, None))
    except DataError as error:
        if parsed.rows or rejects.first is None:
            raise
        raise DataError(f"{error.message} The first of {rejects.total} rejected rows: {rejects.first}.") from error


def _write(
    parsed: ParsedBlocks,
    splitter: Splitter,
    encoder: Encoder,
    writer: DatasetWriter,
    report: Callable[[PrepareProgress], None],
) -> dict[str, dict[str, int]]:
    """Encode and write all rows. Returns, per split and numeric field, how many values were missing."""
    names = encoder.fitted.schema_.numeric_names

    def tables(block: LabelledBlock) -> tuple[dict[str, pa.Table], npt.NDArray[np.int64]]:
        splits = splitter.splits(block.first_row, block.rows)
        counts = np.zeros((len(SPLITS), len(names)), dtype=np.int64)
        for index, name in enumerate(names):
            absent = splits[block.columns[name].is_null().to_numpy(zero_copy_only=False)]
            counts[:, index] = np.bincount(absent, minlength=len(SPLITS))
        return writer.tables(encoder.encode(block.columns), block.label, splits), counts

    rows, missing = 0, np.zeros((len(SPLITS), len(names)), dtype=np.int64)
    for by_split, counts in in_order(tables, parsed):
        writer.add_tables(by_split)
        missing += counts
        rows += sum(table.num_rows for table in by_split.values())
        report(PrepareProgress("write", rows, parsed.rows))
    return {split: dict(zip(names, row, strict=True)) for split, row in zip(SPLITS, missing.tolist(), strict=True)}


def _report(dataset: Dataset) -> PrepareReport:
    return PrepareReport(
        dataset_hash=dataset.hash,
        rows={split: dataset.rows(split) for split in SPLITS},
        label_rate={split: dataset.label_rate(split) for split in SPLITS},
        rejected=dataset.manifest.rejected.reasons,
        table_rows=dataset.fitted.table_rows,
    )


def parse_bytes(text: str) -> int:
    """Read a size such as 4GB, 512MB or 1.5GiB; a bare number is bytes. K, M, G and T are powers of 1,024.

    Raises:
        ConfigError: it is no such size.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    size = int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " ")) if match else 0
    if size <= 0:
        raise ConfigError(f"`memory_limit` must be a size such as 4GB. Got {text!r}.", path="memory_limit")
    return size


def _check_memory(limit: int | None) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    if limit is not None and peak > limit:
        raise DataError(
            f"Preparing these files takes more than the memory limit of {limit / 2**20:,.0f} MiB. "
            "Raise it, or prepare fewer rows."
        )


def _check_settings(min_count: int, split: str, valid_fraction: float, test_fraction: float, seed: int) -> None:
    if min_count < 1:
        raise ConfigError(f"`min_count` must be >= 1. Got min_count={min_count}.", path="min_count")
    if split not in _HOW:
        raise unknown_name("split", split, _HOW, path="split")
    for name, fraction in (("valid_fraction", valid_fraction), ("test_fraction", test_fraction)):
        if not 0 <= fraction < 1:
            raise ConfigError(f"`{name}` must be in [0, 1). Got {name}={fraction}.", path=name)
    if valid_fraction + test_fraction >= 1:
        raise ConfigError(
            "`valid_fraction` + `test_fraction` must be < 1, so that rows are left to train on. "
            f"Got {valid_fraction} + {test_fraction}.",
            path="valid_fraction",
        )
    if seed < 0:
        raise ConfigError(f"`seed` must be >= 0. Got seed={seed}.", path="seed")
