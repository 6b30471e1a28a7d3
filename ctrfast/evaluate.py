"""Evaluate a run: on a split of a dataset made with the run's vocabulary, or on raw files in its schema.

evaluation = evaluate(Path("runs/first"), [Path("data/criteo")], "test", segment="C9")
evaluation.metrics["auc"], evaluation.segments.gauc

Predictions are corrected for a `negative_rate` below 1. In the training split of such a dataset, each row without a
click therefore counts for the 1 / rate rows of the log that it stands for; `rows` are those that there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctrfast.data.batches import fused_ids
from ctrfast.data.encode import Encoder
from ctrfast.data.raw import read_raw
from ctrfast.data.rejects import RefuseRejects
from ctrfast.data.shards import Dataset
from ctrfast.data.sources import dataset_folder
from ctrfast.errors import ArtifactError, ConfigError, DataError, unknown_name
from ctrfast.loop.split_evaluation import scored_batches
from ctrfast.metrics import Predictions, first_label
from ctrfast.network import Network
from ctrfast.run import Run
from ctrfast.run_network import open_network
from ctrfast.segments import SegmentPredictions, SegmentReport

_Ids = npt.NDArray[np.int32]
_Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Evaluation:
    """metrics: figures of all rows by name (`ctrfast.metrics`); `calibrated_ece` and the like after calibration.

    segments: by value of the field that was asked for, before calibration; of the first label, where there are several.
    """

    metrics: dict[str, float]
    segments: SegmentReport | None


def evaluate(
    run_path: Path, data: Sequence[Path | str], split: str = "test", *, segment: str | None = None
) -> Evaluation:
    """Measure how well a run ranks and fits.

    Args:
        run_path: a finished run.
        data: one dataset folder, or raw files with labels, also folders, patterns and addresses of them.
        split: of the dataset; raw files are taken whole.
        segment: id field by whose values the figures are broken down too.

    Raises:
        ArtifactError: the run or dataset cannot be used, or the dataset has another vocabulary than the run.
        DataError: a raw row cannot be used, or the split has no rows.
        ConfigError: the run has no id field `segment`, or one of lists.
    """
    run = Run.open(run_path)
    encoder = run.encoder()
    id_names = encoder.fitted.schema_.id_names
    if segment is not None and segment not in id_names:
        raise unknown_name("id field", segment, id_names, path="segment")
    field = id_names.index(segment) if segment is not None else None
    if field is not None and encoder.fitted.schema_.id_fields[field].separator is not None:
        raise ConfigError(f"`segment` must have one value a row. Got {segment}, a field of lists.", path="segment")
    folder = dataset_folder(data)
    dataset = open_split(folder, split, encoder) if folder is not None else None
    network = open_network(run)
    scored = _score_raw(network, data, encoder) if dataset is None else _score_split(network, dataset, split)

    weight = 1 / dataset.negative_rate if dataset is not None and split == "train" else 1.0
    predictions, by_value = Predictions(weight, encoder.fitted.schema_.tasks), SegmentPredictions(weight)
    for labels, ids, logits in scored:
        predictions.add(labels, logits)
        if field is not None:
            slot = encoder.fitted.schema_.field_slots[field].start
            local = ids[:, slot] - encoder.fitted.slot_offsets[slot]
            by_value.add(first_label(labels), first_label(logits), encoder.fitted.id_rows[field].folded(local))
    metrics = predictions.metrics() | run.calibration().metrics(predictions)
    report = None
    if segment is not None:
        report = by_value.report(segment, encoder.field_ids[segment].value_of)
    return Evaluation(metrics, report)


def open_split(path: Path, split: str, encoder: Encoder) -> Dataset:
    """A dataset that a model with this encoder can be measured on.

    Raises:
        ArtifactError: it cannot be used, or has another vocabulary.
        DataError: the split has no rows.
    """
    dataset = Dataset.open(path)
    if dataset.fitted.hash != encoder.fitted.hash:
        raise ArtifactError(
            f"The dataset {path} has another schema or vocabulary than the run. "
            "Evaluate on the run's own dataset, or on raw files."
        )
    if not dataset.rows(split):
        raise DataError(f"The split {split!r} of {path} must have rows. Got none.", path="split")
    return dataset


def score_split(run: Run, data: Path, split: str, on_progress: Callable[[int, int], None]) -> Predictions:
    """Labels and logits of a split's rows, in the order of its shards.

    Args:
        run: a finished run.
        data: a dataset made with the run's vocabulary.
        split: `train`, `valid` or `test`.
        on_progress: called with rows done and rows in all.

    Raises:
        ArtifactError: the run or dataset cannot be used, or the dataset has another vocabulary than the run.
        DataError: the split has no rows.
    """
    dataset = open_split(data, split, run.encoder())
    predictions, rows, done = Predictions(tasks=dataset.fitted.schema_.tasks), dataset.rows(split), 0
    on_progress(done, rows)
    for batch, logits in scored_batches(open_network(run), dataset, split):
        predictions.add(batch.labels, logits)
        done += len(batch)
        on_progress(done, rows)
    return predictions


def _score_split(network: Network, dataset: Dataset, split: str) -> Iterator[tuple[_Floats, _Ids, _Floats]]:
    """Labels (R,) or (R, T), ids (R, S) as rows of the fused table, logits as the labels."""
    for batch, logits in scored_batches(network, dataset, split):
        yield batch.labels, batch.ids, logits


def _score_raw(
    network: Network, data: Sequence[Path | str], encoder: Encoder
) -> Iterator[tuple[_Floats, _Ids, _Floats]]:
    """The same for raw rows."""
    for block in read_raw(data, encoder.fitted.schema_, rejects=RefuseRejects()):
        encoded = encoder.encode_block(block.texts, block.numbers, block.rows)
        ids = fused_ids(encoded.ids, encoder.fitted)
        yield np.asarray(block.label, np.float32), ids, network.logits(ids, encoded.numbers)
