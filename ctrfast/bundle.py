"""A bundle: what is published and scored. It holds data only, nothing that can carry code.

weights.safetensors   the table and the dense weights; the ONNX graph reads the table from here
model.onnx            ids (R, S) int32, numbers (R, N) float32 -> probability (R,) float32; of several labels, which the
                      manifest names as `labels`, probabilities (R, T)
schema.json  vocabulary/  config.json  plan.json  metrics.json  calibration.json
golden.parquet        encoded rows with the training graph's scores
reference.json        the training rows by field (`ctrfast.reference`); bundles of runs before it came have none
manifest.json         written last, with the sha256 of every other file

Where weights are packed or pruned (`ctrfast.export`), the manifest's `quantization` says how and at what cost, and the
training graph's scores are those with these weights: the graph is held to 1e-5 all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ctrfast.calibration import CALIBRATION, Calibration
from ctrfast.data.encode import Encoder
from ctrfast.errors import ArtifactError
from ctrfast.folders import read_manifest, verify_files
from ctrfast.reference import REFERENCE, Reference

KIND = "bundle"
FORMAT = 2
_FORMATS = (1, FORMAT)  # 1: before calibration; it holds the identity
WEIGHTS = "weights.safetensors"
GRAPH = "model.onnx"
GOLDEN = "golden.parquet"
GOLDEN_TOLERANCE = 1e-5
_REQUIRED = {WEIGHTS, GRAPH, GOLDEN, "schema.json", "config.json", "plan.json", "metrics.json", CALIBRATION}


@dataclass(frozen=True)
class Bundle:
    """An opened bundle whose every file has the hash of its manifest."""

    path: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> Bundle:
        """Open and verify a bundle.

        Raises:
            ArtifactError: it is missing, incomplete, changed, or of a newer format.
        """
        manifest = read_manifest(path, KIND)
        if (found := manifest.get("format")) not in _FORMATS:
            known = " or ".join(map(str, _FORMATS))
            raise ArtifactError(f"The bundle {path.name} must have format {known}. Got {found!r}. Update ctrfast.")
        absent = sorted(_REQUIRED - set(manifest["files"]))
        if absent:
            raise ArtifactError(f"The bundle {path.name} is incomplete: its manifest lacks {', '.join(absent)}.")
        verify_files(path, manifest)
        return cls(path, manifest)

    def encoder(self) -> Encoder:
        """Raw impressions -> ids and numbers, as in training."""
        return Encoder.load(self.path)

    def calibration(self) -> Calibration:
        """Calibrates the graph's probabilities. Raises ArtifactError where its file cannot be used."""
        return Calibration.load(self.path)

    def golden(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Fused ids (G, S), numbers (G, N) and the training graph's scores (G,), or (G, T) of several labels."""
        return read_golden(self.path / GOLDEN)

    def reference(self) -> Reference | None:
        """The training rows by field, for `ctrfast.drift`; `None` where the bundle has none.

        Raises:
            ArtifactError: it cannot be read.
        """
        return Reference.load(self.path / REFERENCE) if REFERENCE in self.manifest["files"] else None


def read_golden(
    path: Path,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Fused ids (G, S), numbers (G, N) and scores (G,), or (G, T) of several labels, of a `golden.parquet`."""
    table = pq.read_table(path)
    rows = table.num_rows
    ids = table.column("ids").combine_chunks().flatten().to_numpy().reshape(rows, -1)
    numbers = table.column("numbers").combine_chunks().flatten().to_numpy().reshape(rows, -1)
    scores = table.column("score").combine_chunks()
    if pa.types.is_list(scores.type):
        return ids, numbers, scores.flatten().to_numpy().reshape(rows, -1)
    return ids, numbers, scores.to_numpy()
