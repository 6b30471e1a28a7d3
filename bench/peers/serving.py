"""What the other servers share: the published ONNX graph behind the shortest honest encoding of raw rows.

    bundle, port, variant = arguments()
    Model(bundle).predict([{"I1": 3, "C1": "68fd1e64"}])         # [0.231]

One dictionary per id field, one numpy expression for all numbers, ONNX Runtime on one thread. Unlike ours it checks
nothing, counts nothing and does not calibrate. `bench.serve` compares its answers with ours before it measures. Needs
numpy, onnxruntime and pyarrow.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pyarrow.parquet as pq

_UNSEEN, _MISSING, _FIRST = 0, 1, 2  # local ids


class Model:
    """A bundle that can score. id_names, number_names: of the fields, in input order."""

    def __init__(self, bundle: Path) -> None:
        fitted = json.loads((bundle / "schema.json").read_text())
        self.id_names = [field["name"] for field in fitted["schema"]["id_fields"]]
        self.number_names = [field["name"] for field in fitted["schema"]["numeric_fields"]]
        self._means = np.array([fitted["statistics"][name]["mean"] for name in self.number_names])
        self._deviations = np.array([fitted["statistics"][name]["std"] for name in self.number_names])
        self._tables: list[
            tuple[dict[str | None, int], int]
        ] = []  # text -> row of the fused table; that of other texts
        start = 0
        for name in self.id_names:
            values = pq.read_table(bundle / "vocabulary" / f"{name}.parquet")["value"].to_pylist()
            table: dict[str | None, int] = {value: row for row, value in enumerate(values, start + _FIRST)}
            table[None] = start + _MISSING
            self._tables.append((table, start + _UNSEEN))
            start += len(values) + _FIRST
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(bundle / "model.onnx", options, providers=["CPUExecutionProvider"])

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[float]:
        """Click probabilities of raw rows; what is absent is missing."""
        ids = [[row.get(name) for row in rows] for name in self.id_names]
        numbers = [[row.get(name) for name in self.number_names] for row in rows]
        return self.predict_columns(ids, np.array(numbers, dtype=np.float64))

    def predict_columns(self, ids: Sequence[Sequence[str | None]], numbers: np.ndarray) -> list[float]:
        """The same from texts by field, (F, R), and numbers (R, N), NaN = missing."""
        places = [
            [table.get(text, unseen) for text in texts]
            for (table, unseen), texts in zip(self._tables, ids, strict=True)
        ]
        transformed = np.where(numbers > 2, np.log(np.maximum(numbers, 1.0)) ** 2, numbers)
        scaled = np.nan_to_num((transformed - self._means) / self._deviations, nan=0.0)
        inputs = {"ids": np.ascontiguousarray(np.array(places, np.int32).T), "numbers": scaled.astype(np.float32)}
        return self._session.run(None, inputs)[0].tolist()


def arguments() -> tuple[Path, int, str]:
    """The command line of a server: the bundle, the port, which of its ways to serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--variant", default="")
    given = parser.parse_args()
    return given.bundle, given.port, given.variant
