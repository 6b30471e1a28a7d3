"""The records of a run as it goes: `metrics.jsonl` and TensorBoard events, from the same calls.

Each line of `metrics.jsonl` is one JSON object: `{"kind": "train", "step": 50, "loss": ..., ...}` or
`{"kind": "evaluation", "split": "valid", "step": 686, "auc": ..., ...}`. `train_s` is the seconds of training so far.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import tensorflow as tf

from ctrfast.errors import StorageError
from ctrfast.folders import write_file
from ctrfast.run import RECORDS


def kept_records(folder: Path, step: int) -> list[dict[str, Any]]:
    """The records that a run goes on from; those beyond the checkpoint's step and the test's come again.

    Args:
        folder: the run folder.
        step: steps that the checkpoint has taken, 0 for a new run.
    """
    records = [json.loads(line) for line in _whole_lines(folder / RECORDS)]
    return [record for record in records if record["step"] <= step and record.get("split") != "test"]


class RunLog:
    """Writes records; a context manager that closes both files.

    Args:
        folder: the run folder.
        kept: records that stay; all others are dropped.
    """

    def __init__(self, folder: Path, kept: Sequence[Mapping[str, Any]] = ()) -> None:
        path = folder / RECORDS
        write_file(path, "".join(json.dumps(record) + "\n" for record in kept))
        self._file = path.open("a", encoding="utf-8")
        self._board = tf.summary.create_file_writer(str(folder / "tensorboard"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._board.close()
        self._file.close()

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record; numbers also go to TensorBoard, mappings of numbers one series per name."""
        self._file.write(json.dumps(record, allow_nan=False) + "\n")
        self._file.flush()
        try:
            self._show(record)
        except tf.errors.OpError as error:
            problem = f"TensorBoard's events cannot be stored: {error.message}"
            raise StorageError(f"{problem}. Make room on the disk.") from error

    def _show(self, record: Mapping[str, Any]) -> None:
        prefix = record.get("split", record["kind"])
        with self._board.as_default(step=record["step"]):
            for name, value in record.items():
                series = value.items() if isinstance(value, Mapping) else [("", value)]
                for part, number in series:
                    if isinstance(number, float):
                        tf.summary.scalar("/".join(filter(None, (prefix, name, part))), number)

    def sync(self) -> None:
        """Have the records on the disk: a checkpoint that is written next must not know of more than they tell."""
        os.fsync(self._file.fileno())


def _whole_lines(path: Path) -> list[str]:
    """Lines that end in a newline; the last one of a killed process may not."""
    if not path.is_file():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
