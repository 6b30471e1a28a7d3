"""Score files: raw impressions or a dataset in, a parquet file with one `score` per row out, in order.

    scored = score_files(Path("runs/first"), [Path("tomorrow.tsv.gz")], Path("scores.parquet"))
    scored.rows, scored.unseen          # 109711, {"C1": 3, ...}: values that training did not hold, by id field

A run is scored with its training graph, a bundle with its ONNX graph; the two agree to 1e-5.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ctrfast.bundle import KIND
from ctrfast.data.batches import batches, fused_ids
from ctrfast.data.encode import Encoder
from ctrfast.data.raw import read_raw
from ctrfast.data.rejects import RefuseRejects
from ctrfast.data.shards import Dataset
from ctrfast.data.sources import dataset_folder
from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.folders import kind_of, new_file
from ctrfast.run import Run
from ctrfast.schema import SPLITS
from ctrfast.score import Scorer

_BATCH = 65_536
_SCHEMA = pa.schema([("score", pa.float32())])

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scored:
    """rows: scored. unseen: per id field, how many values got the unseen id."""

    rows: int
    unseen: Mapping[str, int]


class _Model(Protocol):
    encoder: Encoder

    def score_arrays(self, ids: npt.NDArray[np.int32], numbers: npt.NDArray[np.float32]) -> Scores:
        """Ids (R, S) rows of the fused table, numbers (R, N) -> probabilities (R,)."""


def score_files(
    model: Path, inputs: Sequence[Path | str], out: Path, *, on_progress: Callable[[int], None] | None = None
) -> Scored:
    """Score every row of the inputs and write `out`; it appears when it is whole.

    Args:
        model: a run or a bundle.
        inputs: raw files in the model's schema, with or without the label column, also folders, patterns and
            addresses of them; or one dataset, whose rows are taken in the order train, valid, test.
        out: parquet file; must not exist.
        on_progress: called with the rows scored so far.

    Raises:
        ArtifactError: the model cannot be used, or a dataset has another vocabulary.
        DataError: a raw row cannot be read: each row in has its score out, so the first bad one ends the work.
        ConfigError: `out` exists.
    """
    if out.exists():
        raise ConfigError(f"{out} exists already. Choose another name, or remove it.")
    opened = _open(model)
    rows, unseen = 0, dict.fromkeys(opened.encoder.fitted.schema_.id_names, 0)
    with new_file(out) as partial, pq.ParquetWriter(partial, _SCHEMA) as writer:
        for scores, counts in _scores(opened, inputs):
            writer.write_table(pa.table({"score": scores}, schema=_SCHEMA))
            rows += len(scores)
            unseen = {name: total + counts[name] for name, total in unseen.items()}
            if on_progress:
                on_progress(rows)
    return Scored(rows, unseen)


def _scores(model: _Model, inputs: Sequence[Path | str]) -> Iterator[tuple[Scores, Mapping[str, int]]]:
    """Scores of some rows, and their unseen values by id field."""
    fitted = model.encoder.fitted
    folder = dataset_folder(inputs)
    if folder is not None:
        dataset = Dataset.open(folder)
        if dataset.fitted.hash != fitted.hash:
            raise ArtifactError(f"The dataset {folder} has another schema or vocabulary than the model.")
        for split in SPLITS:
            for batch in batches(dataset, split, _BATCH):
                local = batch.ids - np.asarray(fitted.slot_offsets, np.int32)
                yield model.score_arrays(batch.ids, batch.numbers), model.encoder.count_unseen(local)
        return
    for block in read_raw(inputs, fitted.schema_, rejects=RefuseRejects(), require_label=False):
        encoded = model.encoder.encode_block(block.texts, block.numbers, block.rows)
        yield model.score_arrays(fused_ids(encoded.ids, fitted), encoded.numbers), encoded.unseen


def _open(path: Path) -> _Model:
    if kind_of(path) == KIND:
        return Scorer.load(path, threads=os.cpu_count() or 1)
    run = Run.open(path)
    from ctrfast.run_network import RunScorer  # TensorFlow is loaded for runs alone

    return RunScorer(run)
