"""A mixture of experts, its dense student, and the same network trained alone, over seeds. `make bench-student`.

The student begins with its teacher's table and merged tower, so it is trained on for as many epochs as these have had:
`longer` is the same network alone for twice as many epochs.

The rows of `bench-better-rule` (the real Criteo sample where it is at hand) and its setting `adaptive` at 64 times the
base batch, with smaller layers. Each seed makes a teacher and distils it, in a folder of its own under --out; what is
there is not made again.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ctrfast.allocator import keep_freed_memory

keep_freed_memory()  # before TensorFlow starts its threads

# isort: split
from matplotlib.axes import Axes

from bench.better_rule import CASES, SAMPLE, make_dataset, settings_of
from bench.report import Report, Table, write
from ctrfast.config import parse_config
from ctrfast.data.shards import Dataset
from ctrfast.data.synth import synth
from ctrfast.distillation import DistilledNetwork, distil, measure_network
from ctrfast.run import RECEIPT
from ctrfast.train import train

CASE = next(case for case in CASES if (case.name, case.scale) == ("adaptive", 64))
HIDDEN, TOWER = [200, 200, 200], {"name": "moe", "experts": 4, "top_k": 2}
SYNTHETIC_ROWS = 110_000
WHO = {
    "teacher": "mixture of experts (teacher)",
    "student": "its dense student",
    "alone": "the same network, alone",
    "longer": "alone, twice as long",
}
Seeds = Sequence[Mapping[str, DistilledNetwork]]  # by who


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--synthetic", action="store_true", help="leave the real sample alone")
    parser.add_argument("--out", type=Path, default=Path("build/bench/student"), help="of the data and the runs")
    arguments = parser.parse_args()
    is_real = SAMPLE.is_file() and not arguments.synthetic
    dataset = _dataset(arguments.out, is_real)
    seeds = []
    for seed in range(1, arguments.seeds + 1):
        seeds.append(run(dataset, arguments.out / f"{dataset.hash[:8]}-{seed}", seed))
        aucs = ", ".join(f"{who} {of.auc:.4f}" for who, of in seeds[-1].items())
        print(f"seed {seed}: {aucs}", flush=True)
    write(report(seeds, dataset.rows("train"), is_real), lambda axes: draw(axes, seeds))


def run(dataset: Dataset, out: Path, seed: int) -> dict[str, DistilledNetwork]:
    """Teacher, student, alone and longer of one seed."""
    settings = settings_of(CASE, seed)
    model = {**settings["model"], "hidden": HIDDEN}
    _train(dataset, {**settings, "model": {**model, "tower": TOWER}}, out / "teacher")
    told = distil(out / "teacher", dataset.path, out / "distilled", into="deepfm", resume=True)
    _train(dataset, {**settings, "model": model, "epochs": 2 * CASE.epochs}, out / "longer")
    return {of.who: of for of in told.networks} | {
        "longer": measure_network("alone", out / "longer", dataset, told.split)
    }


def _train(dataset: Dataset, settings: Mapping[str, Any], out: Path) -> None:
    if not (out / RECEIPT).is_file():
        train(dataset, parse_config(settings), out, resume=True)


def _dataset(out: Path, is_real: bool) -> Dataset:
    data = out / ("data-real" if is_real else f"data-{SYNTHETIC_ROWS}")
    if data.is_dir():
        return Dataset.open(data)
    out.mkdir(parents=True, exist_ok=True)
    if is_real:
        return make_dataset(SAMPLE, data)
    with tempfile.TemporaryDirectory() as folder:
        clicks = Path(folder) / "clicks.tsv.gz"
        synth(clicks, "criteo", SYNTHETIC_ROWS, 1)
        return make_dataset(clicks, data)


def report(seeds: Seeds, rows: int, is_real: bool) -> Report:
    """A line for each of the four: means, and the difference from the network alone, seed by seed."""
    cells = []
    for who, name in WHO.items():
        runs, alone = [seed[who] for seed in seeds], [seed["alone"] for seed in seeds]
        away = [each.auc - other.auc for each, other in zip(runs, alone, strict=True)]
        cells.append(
            [
                name,
                _spread([each.auc for each in runs], ".4f"),
                "-" if who == "alone" else _spread(away, "+.4f"),
                _spread([each.log_loss for each in runs], ".4f"),
                f"{runs[0].weights:,}",
                f"{runs[0].model_bytes / 2**20:.2f}",
                f"{statistics.median(each.row_latency_us for each in runs):,.0f}",
            ]
        )
    source = "The real Criteo sample" if is_real else "Synthetic clicks"
    widths = " x ".join(map(str, HIDDEN))
    return Report(
        name="student",
        title="A mixture of experts and its dense student",
        tables=[
            Table(
                f"{source}: {rows:,} training rows, {len(seeds)} seeds; mean (sd)",
                ["DeepFM", "test AUC", "from alone", "log loss", "weights", "MiB", "1 row, us"],
                cells,
            )
        ],
        notes=[
            f"DeepFM, hidden {widths}; the teacher has {TOWER['experts']} experts in each of its last two layers, "
            f"of which a row takes {TOWER['top_k']}.",
            f"Settings of bench-better-rule: {CASE.name}, {CASE.scale} times the base batch, at most {CASE.epochs} "
            "epochs, weights of the epoch with the highest validation AUC; none was tuned for a mixture.",
            f"The student begins with its teacher's table and merged tower, trained for up to {CASE.epochs} epochs; it "
            f"has as many more. {WHO['longer'].capitalize()!r} begins anew and has up to {2 * CASE.epochs}.",
            "Weights without the table; MiB: weights and graph of the bundle. Latency: one thread, median over seeds.",
        ],
        figures={who: [seed[who].model_dump(exclude={"run"}) for seed in seeds] for who in WHO},
    )


def _spread(values: Sequence[float], form: str) -> str:
    deviation = f" ({statistics.stdev(values):.4f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):{form}}{deviation}"


def draw(axes: Axes, seeds: Seeds) -> None:
    """A row for each of the four, a mark per seed."""
    axes.figure.set_size_inches(8, 3.5)
    for number, (seed, mark) in enumerate(zip(seeds, "osD^vP", strict=False)):
        aucs = [seed[who].auc for who in WHO]
        axes.plot(aucs, range(len(WHO)), mark, color=f"C{number}", ms=7, alpha=0.8, label=f"seed {number + 1}")
    axes.set_yticks(range(len(WHO)), list(WHO.values()))
    axes.set_ylim(len(WHO) - 0.5, -0.5)
    axes.set(xlabel="test AUC")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)


if __name__ == "__main__":
    main()
