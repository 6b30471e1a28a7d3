"""The trained network of a finished run, for evaluation, scoring and export. Needs TensorFlow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ctrfast.checkpoint import Checkpoint
from ctrfast.metrics import first_label, sigmoid
from ctrfast.network import Network
from ctrfast.run import Run


def open_network(run: Run) -> Network:
    """The trained network of a run.

    Raises:
        ArtifactError: its checkpoint is missing, was changed, or belongs to another run.
    """
    checkpoint = Checkpoint.open(run.checkpoint, run.seal)
    return Network.from_checkpoint(run.config.model, run.encoder().fitted, checkpoint, run.negative_rate)


class RunScorer:
    """Scores with a run's training graph.

    Args:
        run: a finished run.
    """

    def __init__(self, run: Run) -> None:
        self.encoder = run.encoder()
        self._network = open_network(run)
        self._calibration = run.calibration()

    def score_arrays(self, ids: npt.NDArray[np.int32], numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Ids (R, S) rows of the fused table, numbers (R, N) -> probabilities (R,), of the first label."""
        return first_label(self.predict_arrays(ids, numbers))

    def predict_arrays(self, ids: npt.NDArray[np.int32], numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Ids (R, S) rows of the fused table, numbers (R, N) -> probabilities (R,), or (R, T) of several labels."""
        return sigmoid(self._network.logits(ids, numbers)).astype(np.float32)

    def calibrate(self, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Probabilities (R,) -> calibrated ones (R,), by the run's `calibration.json`; of the first label."""
        return self._calibration.apply(probabilities)
