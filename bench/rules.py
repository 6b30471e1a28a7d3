"""Every scaling rule at 128 times the base batch, on clicks from a known teacher. `make bench-rules`.

The same settings, tuned for nothing, go through each rule of `ctrfast.optim.scaling_rules`; test AUC over three seeds,
the distance from the base run of the same seed, and the share of clipped rows. The figures stand as they come out.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ctrfast.allocator import keep_freed_memory

keep_freed_memory()  # before TensorFlow starts its threads

# isort: split
from matplotlib.axes import Axes

from bench.report import Report, Table, write
from ctrfast.config import RULE_NAMES, parse_config
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.data.synth import synth
from ctrfast.errors import TrainingError
from ctrfast.schema import preset
from ctrfast.train import train

SCALE = 128
BASE = "base"
_OPTIMIZER = {"lr_dense": 1e-3, "lr_embed": 1e-3, "l2": 1e-6}


def run(dataset: Dataset, out: Path, rule: str, seed: int, arguments: argparse.Namespace) -> dict[str, float] | str:
    """Figures of one run, or why it was stopped. The base run takes CowClip's settings at a scale of 1."""
    is_base = rule == BASE
    settings = {
        "batch_size": arguments.base_batch_size * (1 if is_base else SCALE),
        "scaling": {"rule": "cowclip" if is_base else rule, "base_batch_size": arguments.base_batch_size},
        "epochs": arguments.epochs,
        "seed": seed,
        "model": {"hidden": [64, 64]},
        "optimizer": _OPTIMIZER,
    }
    try:
        return train(dataset, parse_config(settings), out).metrics
    except TrainingError as error:
        return error.message


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=250_000)
    parser.add_argument("--base-batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    names = [BASE, *RULE_NAMES]
    results: dict[str, list[dict[str, float] | str]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        clicks, data = Path(folder) / "clicks.tsv.gz", Path(folder) / "data"
        teacher = synth(clicks, "criteo", arguments.rows, 1)
        prepare([clicks], preset("criteo"), data, min_count=2, valid_fraction=0.05, test_fraction=0.15)
        dataset = Dataset.open(data)
        for seed in range(1, arguments.seeds + 1):
            for name in names:
                figures = run(dataset, Path(folder) / f"{name}-{seed}", name, seed, arguments)
                results[name].append(figures)
                shown = figures if isinstance(figures, str) else f"test AUC {figures['test_auc']:.4f}"
                print(f"seed {seed}, {name}: {shown}", flush=True)
        steps = dataset.rows("train") // (arguments.base_batch_size * SCALE) * arguments.epochs
    write(report(results, arguments, teacher.teacher_auc, steps), lambda axes: draw(axes, results, teacher.teacher_auc))


def report(results: Mapping[str, list[Any]], arguments: argparse.Namespace, teacher_auc: float, steps: int) -> Report:
    """One line per rule: mean and spread over the seeds."""
    base = [figures["test_auc"] for figures in results[BASE]]
    cells, notes = [], []
    for name, runs in results.items():
        finished = [
            (figures, origin) for figures, origin in zip(runs, base, strict=True) if not isinstance(figures, str)
        ]
        notes += [f"{name}: stopped: {figures}" for figures in runs if isinstance(figures, str)]
        batch_size = arguments.base_batch_size * (1 if name == BASE else SCALE)
        if not finished:
            cells.append([name, f"{batch_size:,}", "stopped", "-", "-", "-", "-"])
            continue
        aucs = [figures["test_auc"] for figures, _ in finished]
        away = statistics.mean(figures["test_auc"] - origin for figures, origin in finished)
        deviation = f"{statistics.stdev(aucs):.4f}" if len(aucs) > 1 else "-"
        losses = statistics.mean(figures["test_log_loss"] for figures, _ in finished)
        share = statistics.mean(figures["clipped_share"] for figures, _ in finished)
        cells.append(
            [
                name,
                f"{batch_size:,}",
                f"{statistics.mean(aucs):.4f}",
                deviation,
                f"{away:+.4f}",
                f"{losses:.4f}",
                f"{share:.2%}",
            ]
        )
    return Report(
        name="rules",
        title=f"Scaling rules at {SCALE} x the base batch of {arguments.base_batch_size}, {arguments.epochs} epochs",
        tables=[
            Table(
                f"{arguments.rows:,} synthetic clicks, {arguments.seeds} seeds; the teacher's AUC is {teacher_auc:.4f}",
                ["rule", "batch size", "test AUC", "sd", "from base", "log loss", "rows clipped at the end"],
                cells,
            )
        ],
        notes=[
            f"Base values: {_OPTIMIZER}. The base run has CowClip at a scale of 1, the others take {steps} steps.",
            "The rules without a clip, `adaptive` apart, start embeddings at N(0, 1e-4), as the plan says.",
            *notes,
        ],
        figures={"runs": results, "teacher_auc": teacher_auc},
    )


def draw(axes: Axes, results: Mapping[str, list[Any]], teacher_auc: float) -> None:
    """One column of points per rule, and the base and the teacher as lines."""
    for index, runs in enumerate(results.values()):
        aucs = [figures["test_auc"] for figures in runs if not isinstance(figures, str)]
        axes.plot([index] * len(aucs), aucs, "o", color=f"C{index}", alpha=0.8)
    base = statistics.mean(figures["test_auc"] for figures in results[BASE])
    axes.axhline(base, ls="--", color="C0", lw=1, label="base, mean")
    axes.axhline(teacher_auc, ls=":", color="black", lw=1, label="teacher")
    axes.set_xticks(range(len(results)), list(results))
    axes.set(ylabel="test AUC, one point per seed")
    axes.grid(alpha=0.3, axis="y")
    axes.legend(fontsize=9)


if __name__ == "__main__":
    main()
