"""Whether a rule keeps the base run's AUC at 64 and 128 times the batch. `make bench-better-rule`.

The real Criteo sample where it lies beside the repository (research use, never part of it), synthetic clicks elsewhere:
the first 75 % of the rows are trained on, the next 5 % choose each run's epoch, the last 20 % are the test. Rows of the
real sample are in order of time. docs/scaling_rules.md says how `adaptive` was found: the search saw the test rows too.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctrfast.allocator import keep_freed_memory

keep_freed_memory()  # before TensorFlow starts its threads

# isort: split
from matplotlib.axes import Axes

from bench.report import Report, Table, write
from ctrfast.config import parse_config
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.data.synth import synth
from ctrfast.schema import preset
from ctrfast.train import train

BASE_BATCH_SIZE = 128
GOAL = 0.002
SAMPLE = Path(__file__).parents[2] / "shared" / "data" / "criteo" / "train_sample.tsv.gz"
SYNTHETIC_ROWS = 110_000
_PUBLISHED = {"lr_dense": 1e-3, "lr_embed": 1e-4, "l2": 1e-5}  # the paper's rates, tuned for the sample's base batch
_TUNED = {"lr_dense": 1e-3, "lr_embed": 2e-3, "l2": 4e-4}  # what `adaptive` starts from


@dataclass(frozen=True)
class Case:
    """A line of the table. epochs: at most; the one with the highest validation AUC gives the weights."""

    name: str
    rule: str
    values: Mapping[str, float]
    scale: int
    epochs: int


CASES = [
    Case("base, published values", "cowclip", _PUBLISHED, 1, 3),
    Case("base, adaptive's values", "adaptive", _TUNED, 1, 3),
    Case("cowclip", "cowclip", _PUBLISHED, 64, 5),
    Case("cowclip, adaptive's values", "cowclip", _TUNED, 64, 5),
    Case("sqrt_star, adaptive's values", "sqrt_star", _TUNED, 64, 5),
    Case("adaptive", "adaptive", _TUNED, 64, 5),
    Case("cowclip", "cowclip", _PUBLISHED, 128, 5),
    Case("adaptive", "adaptive", _TUNED, 128, 5),
]


def settings_of(case: Case, seed: int, model: str = "deepfm") -> dict[str, Any]:
    """Of a run, as `parse_config` takes them."""
    return {
        "model": {"name": model},
        "batch_size": BASE_BATCH_SIZE * case.scale,
        "scaling": {"rule": case.rule, "base_batch_size": BASE_BATCH_SIZE},
        "epochs": case.epochs,
        "final_weights": "best",
        "seed": seed,
        "optimizer": dict(case.values),
    }


def make_dataset(clicks: Path, out: Path) -> Dataset:
    """Rows in the log's order: the first to train on, the last to test on."""
    split = {"split": "sequential", "valid_fraction": 0.05, "test_fraction": 0.2}
    prepare([clicks], preset("criteo"), out, min_count=4, **split)
    return Dataset.open(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--synthetic", action="store_true", help="leave the real sample alone")
    arguments = parser.parse_args()
    seeds = range(1, arguments.seeds + 1)
    is_real = SAMPLE.is_file() and not arguments.synthetic
    results: list[list[dict[str, float]]] = [[] for _ in CASES]
    with tempfile.TemporaryDirectory() as folder:
        clicks, data = SAMPLE, Path(folder) / "data"
        if not is_real:
            clicks = Path(folder) / "clicks.tsv.gz"
            synth(clicks, "criteo", SYNTHETIC_ROWS, 1)
        dataset = make_dataset(clicks, data)
        for seed in seeds:
            for index, case in enumerate(CASES):
                config = parse_config(settings_of(case, seed))
                figures = train(dataset, config, Path(folder) / f"{index}-{seed}").metrics
                results[index].append(figures)
                print(f"seed {seed}, {case.name}, {case.scale} x: test AUC {figures['test_auc']:.4f}", flush=True)
        rows = dataset.rows("train")
    write(report(results, rows, is_real), lambda axes: draw(axes, results))


def report(results: Sequence[Sequence[Mapping[str, float]]], rows: int, is_real: bool) -> Report:
    """One line per case: mean and spread over the seeds."""
    base = [figures["test_auc"] for figures in results[0]]
    cells, notes = [], []
    for case, runs in zip(CASES, results, strict=True):
        aucs = [figures["test_auc"] for figures in runs]
        away = [auc - origin for auc, origin in zip(aucs, base, strict=True)]
        cells.append(
            [
                case.name,
                f"{BASE_BATCH_SIZE * case.scale:,}",
                f"{case.scale} x",
                str(case.epochs),
                f"{statistics.mean(aucs):.4f}",
                _deviation(aucs),
                f"{statistics.mean(away):+.4f}",
                _deviation(away),
                f"{statistics.mean(figures['test_log_loss'] for figures in runs):.4f}",
            ]
        )
    for scale in (64, 128):
        kept = [
            line[0] for case, line in zip(CASES, cells, strict=True) if case.scale == scale and float(line[6]) >= -GOAL
        ]
        notes.append(f"Within {GOAL} of the base run, or above it, at {scale} x: {', '.join(kept) or 'none'}.")
    source = "The real Criteo sample" if is_real else f"{SYNTHETIC_ROWS:,} synthetic clicks"
    header = ["rule", "batch size", "scale", "epochs, at most", "test AUC", "sd", "from base", "sd", "log loss"]
    return Report(
        name="better_rule",
        title=f"Rules at 64 and 128 times the base batch of {BASE_BATCH_SIZE}",
        tables=[Table(f"{source}: {rows:,} training rows, {len(base)} seeds", header, cells)],
        notes=[
            *notes,
            f"Published values: {_PUBLISHED}; adaptive's: {_TUNED}, found on this sample and synthetic clicks"
            " (docs/scaling_rules.md).",
            "Each run gives the weights of its epoch with the highest validation AUC.",
        ],
        figures={"runs": [{"name": c.name, "scale": c.scale, "runs": r} for c, r in zip(CASES, results, strict=True)]},
    )


def draw(axes: Axes, results: Sequence[Sequence[Mapping[str, float]]]) -> None:
    """One row of points per case, and the base as a line."""
    for index, runs in enumerate(results):
        axes.plot([figures["test_auc"] for figures in runs], [index] * len(runs), "o", color=f"C{index % 10}")
    base = statistics.mean(figures["test_auc"] for figures in results[0])
    axes.axvline(base, ls="--", color="black", lw=1, label="base, mean")
    axes.set_yticks(range(len(CASES)), [f"{case.name}, {case.scale} x" for case in CASES])
    axes.invert_yaxis()
    axes.set(xlabel="test AUC, one point per seed")
    axes.grid(alpha=0.3, axis="x")
    axes.legend(fontsize=9)


def _deviation(values: Sequence[float]) -> str:
    return f"{statistics.stdev(values):.4f}" if len(values) > 1 else "-"


if __name__ == "__main__":
    main()
