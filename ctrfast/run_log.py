"""The records of a run as it goes: `metrics.jsonl` and TensorBoard events, from the same calls.

Each line of `metrics.jsonl` is one JSON object: `{"kind": "train", "step": 50, "loss": ..., ...}` or
`{"kind": "evaluation", "split": "valid", "step": 686, "auc": ..., ...}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from ctrfast.folders import write_file


class RunLog:
    """Writes records. On resume, those beyond the checkpoint's step and the test's are dropped: they come again.

    Args:
        folder: the run folder.
        step: steps that the checkpoint has taken, 0 for a new run.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        path = folder / "metrics.jsonl"
        records = [json.loads(line) for line in _whole_lines(path)]
        self.kept = [record for record in records if record["step"] <= step and record.get("split") != "test"]
        write_file(path, "".join(json.dumps(record) + "\n" for record in self.kept))
        self._file = path.open("a", encoding="utf-8")
        self._board = tf.summary.create_file_writer(str(folder / "tensorboard"))

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record; numbers also go to TensorBoard, mappings of numbers one series per name."""
        self._file.write(json.dumps(record, allow_nan=False) + "\n")
        self._file.flush()
        prefix = record.get("split", record["kind"])
        with self._board.as_default(step=record["step"]):
            for name, value in record.items():
                series = value.items() if isinstance(value, Mapping) else [("", value)]
                for part, number in series:
                    if isinstance(number, float):
                        tf.summary.scalar("/".join(filter(None, (prefix, name, part))), number)

    def close(self) -> None:
        """Flush and close both files."""
        self._board.close()
        self._file.close()


def _whole_lines(path: Path) -> list[str]:
    """Lines that end in a newline; the last one of a killed process may not."""
    if not path.is_file():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
