"""The test split's scores, kept with a run, so that runs can be compared later without TensorFlow and without the data.

`test_scores.parquet` has a row per test row in the order of the dataset's shards: `label` (int8) and `logit` (float32),
before calibration. The run's receipt holds its sha256.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ctrfast.errors import ArtifactError
from ctrfast.folders import file_hash, new_file
from ctrfast.metrics import Predictions

TEST_SCORES = "test_scores.parquet"


@dataclass(frozen=True)
class KeptScores:
    """labels (R,) int8, 0 or 1; logits (R,) float32."""

    labels: npt.NDArray[np.int8]
    logits: npt.NDArray[np.float32]


def scores_from(predictions: Predictions) -> KeptScores:
    """The rows of an evaluation."""
    labels, logits = predictions.arrays()
    return KeptScores(labels.astype(np.int8), logits.astype(np.float32))


def keep_scores(run: Path, predictions: Predictions) -> str:
    """Write the scores of a run's test split; their sha256."""
    scores = scores_from(predictions)
    file = run / TEST_SCORES
    with new_file(file) as partial:
        pq.write_table(pa.table({"label": scores.labels, "logit": scores.logits}), partial)
    return file_hash(file)


def load_scores(run: Path, sha256: str) -> KeptScores:
    """The scores of a run, whose receipt knows their sha256.

    Raises:
        ArtifactError: the file is missing or was changed.
    """
    file = run / TEST_SCORES
    if not file.is_file() or file_hash(file) != sha256:
        raise ArtifactError(f"The {TEST_SCORES} of {run} is missing or was changed. Train the run again.")
    table = pq.read_table(file)
    return KeptScores(table["label"].to_numpy(), table["logit"].to_numpy())
