"""Score files: raw impressions or a dataset in, a parquet file with one `score` per row out, in order.

Of a model of several labels, `score` is the first one's, and each other has a column `score_NAME`.

    scored = score_files(Path("runs/first"), [Path("tomorrow.tsv.gz")], Path("scores.parquet"))
    scored.rows, scored.unseen          # 109711, {"C1": 3, ...}: values that training did not hold, by id field

A run is scored with its training graph, a bundle with its ONNX graph; the two agree to 1e-5. Blocks of rows are read,
encoded and scored in threads, one per core; memory holds so many blocks, whatever the size of the input. Each finished
block is kept beside `out` (`ctrfast.score_parts`), so that a killed call can be followed by one with `resume`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ctrfast._version import VERSION
from ctrfast.bundle import KIND
from ctrfast.data.ahead import in_order, threads
from ctrfast.data.batches import Batch, batches, fused_ids
from ctrfast.data.encode import SCHEMA_FILE, Encoder
from ctrfast.data.parquet_input import TableChunk
from ctrfast.data.raw import Chunk, chunks_of, no_usable_row, parse_chunk
from ctrfast.data.rejects import RefuseRejects
from ctrfast.data.shards import Dataset
from ctrfast.data.sources import Source, dataset_folder, find_sources
from ctrfast.data.work_folder import KEEPING, WorkFolder
from ctrfast.errors import ArtifactError, Cancelled, ConfigError
from ctrfast.fitted_schema import FittedSchema
from ctrfast.folders import file_hash, kind_of, read_manifest
from ctrfast.metrics import first_label
from ctrfast.run import RECEIPT, Run
from ctrfast.schema import SPLITS
from ctrfast.score import Scorer
from ctrfast.score_parts import ScoreParts
from ctrfast.storage import storing

_BATCH = 65_536

Scores = npt.NDArray[np.float32]
_Block = tuple[Scores, Mapping[str, int]]  # scores (R,) or (R, T) of some rows, and their unseen values by id field


@dataclass(frozen=True)
class Scored:
    """rows: scored. unseen: per id field, how many values got the unseen id.

    kept_rows: of `rows`, those that an earlier call had finished. seconds: that this call took for the others.
    """

    rows: int
    unseen: Mapping[str, int]
    kept_rows: int
    seconds: float

    @property
    def rows_per_s(self) -> float:
        """Rows that this call scored, by its time."""
        return (self.rows - self.kept_rows) / self.seconds


class _Model(Protocol):
    encoder: Encoder

    def predict_arrays(self, ids: npt.NDArray[np.int32], numbers: npt.NDArray[np.float32]) -> Scores:
        """Ids (R, S) rows of the fused table, numbers (R, N) -> probabilities (R,), or (R, T) of several labels."""

    def calibrate(self, probabilities: Scores) -> Scores:
        """Probabilities (R,) -> calibrated ones (R,)."""


def score_files(
    model: Path,
    inputs: Sequence[Path | str],
    out: Path,
    *,
    calibrated: bool = False,
    resume: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> Scored:
    """Score every row of the inputs and write `out`; it appears when it is whole.

    Args:
        model: a run or a bundle.
        inputs: raw files in the model's schema, with or without the label column, also folders, patterns and
            addresses of them; or one dataset, whose rows are taken in the order train, valid, test.
        out: parquet file; must not exist.
        calibrated: write a further column, `calibrated`, of the first label.
        resume: go on from what a call that was killed or cancelled has left, or start where nothing is left. Without
            it, what was left is removed.
        on_progress: called with the rows scored so far.

    Raises:
        ArtifactError: the model cannot be used, a dataset has another vocabulary, or with `resume`, what was left is of
            another model, other inputs or columns.
        DataError: a raw row cannot be read: each row in has its score out, so the first bad one ends the work.
        ConfigError: `out` exists, or another process is writing it.
    """
    if out.exists():
        raise ConfigError(f"{out} exists already. Choose another name, or remove it.")
    opened = _open(model)
    work = WorkFolder(out, "score", keeping=(*KEEPING, Cancelled))
    parts = _parts(work, model, inputs, calibrated=calibrated)
    tasks = opened.encoder.fitted.schema_.tasks
    if resume:
        parts.refuse_others()
    with storing(f"The scores {out}"), work:
        parts.take_up(resume=resume)
        kept_rows, started = parts.rows, time.monotonic()
        with closing(_blocks(opened, inputs, skip=parts.count)) as blocks:
            for scores, unseen in blocks:
                first = first_label(scores)
                columns = {"score": first, **{_column(task): scores[:, n] for n, task in enumerate(tasks) if n}}
                columns |= {"calibrated": opened.calibrate(first)} if calibrated else {}
                parts.add(columns, unseen)
                if on_progress:
                    on_progress(parts.rows)
        if not parts.rows:
            raise no_usable_row(find_sources(inputs))
        parts.join(out)
    unseen = {name: parts.unseen[name] for name in opened.encoder.fitted.schema_.id_names}
    return Scored(parts.rows, unseen, kept_rows, time.monotonic() - started)


def can_resume(model: Path, inputs: Sequence[Path | str], out: Path, *, calibrated: bool = False) -> bool:
    """Whether an earlier call with the same arguments was stopped and has left something to go on from."""
    return _parts(WorkFolder(out, "score"), model, inputs, calibrated=calibrated).is_same


def _parts(work: WorkFolder, model: Path, inputs: Sequence[Path | str], *, calibrated: bool) -> ScoreParts:
    of_model = read_manifest(model, KIND)["seal"] if _is_bundle(model) else file_hash(Run.open(model).path / RECEIPT)
    tasks = FittedSchema.from_file(model / SCHEMA_FILE).schema_.tasks
    columns = ("score", *map(_column, tasks[1:]), *(("calibrated",) if calibrated else ()))
    folder = dataset_folder(inputs)
    made_from = {
        "version": VERSION,
        "model": of_model,
        "inputs": [source.identity for source in find_sources(inputs)] if folder is None else Dataset.open(folder).hash,
        "batch": _BATCH,
        "columns": columns,
    }
    return ScoreParts(work.path, made_from, pa.schema([(name, pa.float32()) for name in columns]))


def _column(task: str) -> str:
    return f"score_{task}"


def _blocks(model: _Model, inputs: Sequence[Path | str], *, skip: int) -> Generator[_Block]:
    """The blocks of all rows, without the first ones."""
    fitted = model.encoder.fitted
    folder = dataset_folder(inputs)
    if folder is not None:
        dataset = Dataset.open(folder)
        if dataset.fitted.hash != fitted.hash:
            raise ArtifactError(f"The dataset {folder} has another schema or vocabulary than the model.")

        def score_batch(batch: Batch) -> _Block:
            local = batch.ids - np.asarray(fitted.slot_offsets, np.int32)
            return model.predict_arrays(batch.ids, batch.numbers), model.encoder.count_unseen(local)

        encoded = (batch for split in SPLITS for batch in batches(dataset, split, _BATCH))
        return in_order(score_batch, islice(encoded, skip, None))

    def score_chunk(given: tuple[Source, Chunk | TableChunk]) -> _Block:
        source, chunk = given
        block, rejected = parse_chunk(chunk, fitted.schema_, require_label=False)
        RefuseRejects().add(source, rejected.lines, rejected.reasons, rejected.texts)
        rows = model.encoder.encode_block(block.texts, block.numbers, block.rows)
        return model.predict_arrays(fused_ids(rows.ids, fitted), rows.numbers), rows.unseen

    sources = find_sources(inputs)
    chunks = ((source, chunk) for source in sources for chunk in chunks_of(source, fitted.schema_, require_label=False))
    return in_order(score_chunk, islice(chunks, skip, None))


def _is_bundle(path: Path) -> bool:
    """Raises ArtifactError where the folder says to be neither a run nor a bundle."""
    kind = kind_of(path)
    if kind not in ("run", KIND):
        read_manifest(path, "run or bundle")  # raises: nothing is of that kind
    return kind == KIND


def _open(path: Path) -> _Model:
    if _is_bundle(path):
        cores = os.cpu_count() or 1
        return Scorer.load(path, threads=-(-cores // threads()))
    run = Run.open(path)
    from ctrfast.run_network import RunScorer  # TensorFlow is loaded for runs alone

    return RunScorer(run)
