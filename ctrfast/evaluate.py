"""Evaluate a run: on a split of a dataset made with the run's vocabulary, or on raw files in its schema."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ctrfast.data.batches import fused_ids
from ctrfast.data.raw import read_raw
from ctrfast.data.rejects import RefuseRejects
from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError, DataError
from ctrfast.metrics import Predictions
from ctrfast.run import Run
from ctrfast.run_network import open_network
from ctrfast.train import evaluate_split


def evaluate(run_path: Path, data: Sequence[Path], split: str = "test") -> dict[str, float]:
    """AUC, log loss and rows.

    Args:
        run_path: a finished run.
        data: one dataset folder, or raw files with labels.
        split: of the dataset; raw files are taken whole.

    Raises:
        ArtifactError: the run or dataset cannot be used, or the dataset has another vocabulary than the run.
        DataError: a raw row cannot be used, or the split has no rows.
    """
    run = Run.open(run_path)
    network = open_network(run)
    if len(data) == 1 and data[0].is_dir():
        dataset = Dataset.open(data[0])
        if dataset.fitted.hash != run.encoder().fitted.hash:
            raise ArtifactError(
                f"The dataset {data[0]} has another schema or vocabulary than the run. "
                "Evaluate on the run's own dataset, or on raw files."
            )
        if not dataset.rows(split):
            raise DataError(f"The split {split!r} of {data[0]} must have rows. Got none.", path="split")
        return evaluate_split(network, dataset, split).metrics()
    encoder = run.encoder()
    predictions = Predictions()
    for block in read_raw(data, encoder.fitted.schema_, rejects=RefuseRejects()):
        encoded = encoder.encode(block.columns, block.rows)
        predictions.add(
            np.asarray(block.label), network.logits(fused_ids(encoded.ids, encoder.fitted), encoded.numbers)
        )
    return predictions.metrics()
