"""Score impressions against a bundle with ONNX Runtime; TensorFlow is not needed.

scorer = Scorer.load(Path("bundles/deepfm"))
scorer.score_rows([{"I1": 3, "C1": "68fd1e64"}])          # array([0.231], dtype=float32)

Where the schema has several labels, `score` and its like give the first one's probabilities, `predict` those of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from ctrfast.bundle import GOLDEN_TOLERANCE, GRAPH, Bundle
from ctrfast.data.encode import Encoded
from ctrfast.errors import ArtifactError
from ctrfast.metrics import first_label

_CHUNK = 8192  # rows of one forward pass


class Scorer:
    """An encoder and an ONNX session. Safe to call from several threads.

    Args:
        bundle: a verified bundle.
        threads: of one call; 1 gives the lowest latency for a few rows.

    Attributes:
        encoder: raw impressions -> inputs.
        slot_offsets: (S,) what local ids need to become rows of the fused table.
        tasks: names of the labels, where there are several.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self.bundle = bundle
        self.encoder = bundle.encoder()
        self._calibration = bundle.calibration()
        self.slot_offsets = np.asarray(self.encoder.fitted.slot_offsets, np.int32)
        self.tasks = self.encoder.fitted.schema_.tasks
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                bundle.path / GRAPH, sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions share no base class but Exception
            raise ArtifactError(f"The graph of {bundle.path.name} cannot be loaded. Export it again.") from error

    @classmethod
    def load(cls, path: Path, threads: int = 1) -> Scorer:
        """Open a bundle, verify it, load its graph, and score its golden rows.

        Raises:
            ArtifactError: the bundle is missing, incomplete or was changed, or its scores are not the training graph's.
        """
        scorer = cls(Bundle.open(path), threads)
        scorer.check_golden()
        return scorer

    def score(self, encoded: Encoded) -> npt.NDArray[np.float32]:
        """Click probabilities (R,) of encoded impressions, in order."""
        return first_label(self.predict(encoded))

    def predict(self, encoded: Encoded) -> npt.NDArray[np.float32]:
        """Probabilities (R,) of encoded impressions, in order, or (R, T) of several labels."""
        return self.predict_arrays(encoded.ids + self.slot_offsets, encoded.numbers)

    def score_rows(self, rows: Sequence[Mapping[str, object]]) -> npt.NDArray[np.float32]:
        """Click probabilities (R,) of raw impressions.

        Raises:
            DataError: a field is unknown or has the wrong type; `path` names row and field.
        """
        return self.score(self.encoder.encode_rows(rows))

    def score_arrays(self, ids: npt.NDArray[np.int32], numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Ids (R, S) rows of the fused table, numbers (R, N) -> probabilities (R,)."""
        return first_label(self.predict_arrays(ids, numbers))

    def predict_arrays(self, ids: npt.NDArray[np.int32], numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Ids (R, S) rows of the fused table, numbers (R, N) -> probabilities (R,), or (R, T) of several labels."""
        parts = [
            self._session.run(None, {"ids": ids[start : start + _CHUNK], "numbers": numbers[start : start + _CHUNK]})[0]
            for start in range(0, len(ids), _CHUNK)
        ]
        return np.concatenate(parts) if parts else np.empty((0, len(self.tasks)) if self.tasks else 0, np.float32)

    def calibrate(self, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Probabilities (R,) -> calibrated ones (R,), by the bundle's `calibration.json`; of the first label."""
        return self._calibration.apply(probabilities)

    def check_golden(self) -> float:
        """Score the golden rows and return the largest difference from the training graph.

        Raises:
            ArtifactError: it is above 1e-5.
        """
        ids, numbers, expected = self.bundle.golden()
        difference = float(np.max(np.abs(self.predict_arrays(ids, numbers) - expected)))
        if not difference <= GOLDEN_TOLERANCE:
            raise ArtifactError(
                f"The scores of {self.bundle.path.name} differ from the training graph's by {difference:.2g}; "
                f"at most {GOLDEN_TOLERANCE:g} is allowed. Export it again."
            )
        return difference
