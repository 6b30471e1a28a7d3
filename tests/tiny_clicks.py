"""A dataset of one number and two ids, whose steps compile in a fraction of the time of 26 fields."""

import json
from pathlib import Path

import numpy as np

from ctrfast.config import parse_config
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.schema import IdField, NumericField, Schema

SCHEMA = Schema(
    name="tiny",
    columns=("label", "n", "a", "b"),
    label="label",
    numeric_fields=(NumericField(name="n"),),
    id_fields=(IdField(name="a"), IdField(name="b")),
)
SETTINGS = {
    "batch_size": 250,
    "epochs": 4,
    "log_every_steps": 4,
    "model": {"embedding_dim": 4, "hidden": [48, 48]},
    "optimizer": {"lr_dense": 0.01, "lr_embed": 0.01, "l2": 1e-4},
    "scaling": {"base_batch_size": 250},
}


def write_clicks(path: Path, labels, numbers, a, b) -> Path:
    """Rows in the schema's raw format."""
    path.write_text(
        "".join(f"{row[0]}\t{row[1]:.3f}\ta{row[2]}\tb{row[3]}\n" for row in zip(labels, numbers, a, b, strict=True))
    )
    return path


def learnable(rows: int, seed: int = 1):
    """Labels, numbers and ids, of which each tells something of the label."""
    rng = np.random.default_rng(seed)
    a, b, numbers = rng.integers(0, 60, rows), rng.integers(0, 12, rows), rng.normal(size=rows)
    logits = rng.normal(size=60)[a] + rng.normal(size=12)[b] + 0.5 * numbers - 0.5
    return (rng.random(rows) < 1 / (1 + np.exp(-logits))).astype(int), numbers, a, b


def make_dataset(folder: Path, columns, *, valid_fraction: float = 0.2, test_fraction: float = 0.2) -> Dataset:
    """The rows as a dataset, in their order: training, validation, test."""
    raw = write_clicks(folder / "clicks.tsv", *columns)
    fractions = {"valid_fraction": valid_fraction, "test_fraction": test_fraction}
    prepare([raw], SCHEMA, folder / "dataset", split="sequential", **fractions)
    return Dataset.open(folder / "dataset")


def settings(**values):
    """A run of four epochs of ten steps, changed by keyword."""
    return parse_config({**SETTINGS, **values})


def watched_settings():
    """A run that evaluates and saves out of step with epochs and records, and acts on what it sees."""
    return settings(
        epochs=6,
        evaluate_every_steps=4,
        checkpoint_every_steps=3,
        log_every_steps=7,
        early_stop_patience=5,
        final_weights="best",
        optimizer={"lr_dense": 0.013, "lr_embed": 0.013, "l2": 1e-5, "lr_decay": "plateau", "plateau_patience": 2},
    )


def evaluations(path: Path, split: str = "valid"):
    """(step, AUC) of a run's evaluations."""
    return [(record["step"], record["auc"]) for record in records(path) if record.get("split") == split]


def records(path: Path):
    """What a run wrote as it went."""
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def same_run(left: Path, right: Path) -> None:
    """Two runs wrote the same: all checkpoints, golden rows and figures, bit for bit, but for times."""
    times = {"rows_per_s", "input_wait_share", "train_s", "finished_at"}

    def without_times(values):
        return {
            name: without_times(value) if isinstance(value, dict) else value
            for name, value in values.items()
            if name not in times
        }

    left_files, right_files = (sorted(path.glob("checkpoints/*/*")) for path in (left, right))
    assert [file.relative_to(left) for file in left_files] == [file.relative_to(right) for file in right_files]
    for mine, other in zip(left_files, right_files, strict=True):
        assert mine.suffix == ".json" or mine.read_bytes() == other.read_bytes(), mine
    for name in ("golden.parquet", "calibration.json"):
        assert (left / name).read_bytes() == (right / name).read_bytes(), name
    assert list(map(without_times, records(left))) == list(map(without_times, records(right)))
    receipts = (json.loads((path / "receipt.json").read_text()) for path in (left, right))
    mine, other = map(without_times, receipts)
    assert mine == other
    assert not list(right.rglob(".partial-*"))
