"""Whether another system prepared the same as ctrfast did from the same file.

    same_rows      rows per split
    same_kept      and kept values per id field (FuxiCTR's `feature_map.json`)
    same_table     all: each label, each id and each number, row by row, after theirs are standardised
    same_columns   the same for a system that does not keep the order of rows: the values of each column

Each takes (ours, the folder that the other one wrote) and raises `ResultsDifferError`, which names what differs first.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.feather
import pyarrow.parquet as pq

from bench.prepare_work import IDS, LABEL, NUMBERS
from ctrfast.data.shards import Dataset
from ctrfast.schema import SPLITS

_READERS = {
    ".parquet": lambda file: pq.read_metadata(file).num_rows,
    ".feather": lambda file: pyarrow.feather.read_table(file, columns=[LABEL]).num_rows,
    ".npy": lambda file: len(np.load(file, mmap_mode="r")),
}
_FILES = ("{}.parquet", "clicks/{}.parquet", "{}.feather", "{}_sparse_contig_freq.npy")
_FUXICTR_EXTRA_IDS = 2  # padding, out of vocabulary
_TOLERANCE = 1e-3  # of standardised numbers, which are float32 in both


class ResultsDifferError(Exception):
    """Two systems did not do the same work."""


def same_rows(ours: Dataset, out: Path) -> None:
    """Compare the rows of each split."""
    for split in SPLITS:
        files = [file for file in (out / name.format(split) for name in _FILES) if file.is_file()]
        if len(files) != 1:
            raise ResultsDifferError(f"The {split} split must be one file. Got {len(files)}.")
        _require_equal(f"rows of the {split} split", ours.rows(split), _READERS[files[0].suffix](files[0]))


def same_kept(ours: Dataset, out: Path) -> None:
    """Compare rows per split, and kept values per field with a feature map's."""
    same_rows(ours, out)
    listed = json.loads((out / "clicks" / "feature_map.json").read_text(encoding="utf-8"))["features"]
    features = {name: feature for entry in listed for name, feature in entry.items()}
    for name in IDS:
        theirs = features[name]["vocab_size"] - _FUXICTR_EXTRA_IDS
        _require_equal(f"kept values of {name}", ours.fitted.vocabulary_sizes[name], theirs)


def same_table(ours: Dataset, out: Path) -> None:
    """Compare rows per split, then each cell."""
    _compare(ours, out, lambda values: values)


def same_columns(ours: Dataset, out: Path) -> None:
    """Compare rows per split, then the values of each column in rising order."""
    _compare(ours, out, np.sort)


def _compare(ours: Dataset, out: Path, arrange: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> None:
    same_rows(ours, out)
    for split in SPLITS:
        for name in (LABEL, *IDS):
            a, b = (arrange(values) for values in _columns(ours, out, split, name))
            _require_all(a == b, a, b, f"{name} of the {split} split")
        for name, learned in ours.fitted.statistics.items():
            mine, theirs = _columns(ours, out, split, name)
            # A missing number is the mean, 0, in ours.
            a, b = arrange(mine), arrange((np.nan_to_num(theirs, nan=learned.mean) - learned.mean) / learned.std)
            _require_all(np.isclose(a, b, rtol=_TOLERANCE, atol=_TOLERANCE), a, b, f"{name} of the {split} split")


def _columns(ours: Dataset, out: Path, split: str, name: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The column (R,) of ours and of theirs."""
    mine = pq.read_table(ours.shards(split), columns=[name])[name].to_numpy()
    theirs = pq.read_table(out / f"{split}.parquet", columns=[name])[name].to_numpy()
    wide = np.float64 if name in NUMBERS else np.int64
    return mine.astype(wide), theirs.astype(wide)


def _require_equal(what: str, ours: int, theirs: int) -> None:
    if ours != theirs:
        raise ResultsDifferError(f"The {what} must be {ours:,}, as ctrfast has it. Got {theirs:,}.")


def _require_all(same: npt.NDArray[np.bool_], ours: npt.NDArray[Any], theirs: npt.NDArray[Any], what: str) -> None:
    if not same.all():
        row = int(np.argmin(same))
        raise ResultsDifferError(
            f"{what} differs in {np.count_nonzero(~same):,} rows: row {row} must be {ours[row]}, as ctrfast has it. "
            f"Got {theirs[row]}."
        )
