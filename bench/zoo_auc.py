"""AUC of all networks at the base batch and at 64 times it, by CowClip's rule and by `adaptive`. `make bench-zoo-auc`.

The rows and values of `bench-better-rule`. Each run leaves its figures in a file of its own under --out; a run whose
file is there, with the same settings, is not made again: the program goes on where it was ended.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ctrfast.allocator import keep_freed_memory

keep_freed_memory()  # before TensorFlow starts its threads

# isort: split
from matplotlib.axes import Axes

from bench.better_rule import BASE_BATCH_SIZE, SAMPLE, SYNTHETIC_ROWS, Case, make_dataset, settings_of
from bench.better_rule import CASES as RULES
from bench.report import Report, Table, write
from ctrfast.config import parse_config
from ctrfast.data.shards import Dataset
from ctrfast.data.synth import synth
from ctrfast.errors import TrainingError
from ctrfast.folders import write_file
from ctrfast.model_config import MODEL_NAMES
from ctrfast.train import train

_CHOSEN = {("base, published values", 1): "base", ("cowclip", 64): "cowclip_64", ("adaptive", 64): "adaptive_64"}
CASES = {_CHOSEN[case.name, case.scale]: case for case in RULES if (case.name, case.scale) in _CHOSEN}
Figures = Mapping[str, Any]


def figures_of(path: Path, settings: Mapping[str, Any], made: Callable[[], dict[str, float]]) -> Figures:
    """What a run's file holds, where it is of these settings; else the run is made and written."""
    if path.is_file():
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["settings"] == settings:
            return stored
    try:
        result: dict[str, Any] = {"metrics": made()}
    except TrainingError as error:
        result = {"stopped": error.message}
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"settings": settings, **result}
    write_file(path, json.dumps(content, indent=1))
    return content


def run(dataset: Dataset, out: Path, network: str, case: Case, name: str, seed: int) -> Figures:
    """One run's figures, kept or made."""
    settings = json.loads(json.dumps({**settings_of(case, seed, network), "dataset": dataset.hash}))
    config = parse_config({key: value for key, value in settings.items() if key != "dataset"})

    def made() -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            return train(dataset, config, Path(folder) / "run").metrics

    return figures_of(out / network / f"{name}-{seed}.json", settings, made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", action="append", choices=MODEL_NAMES, help="all if not given")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=SYNTHETIC_ROWS, help="synthetic clicks, where there is no sample")
    parser.add_argument("--synthetic", action="store_true", help="leave the real sample alone")
    parser.add_argument(
        "--out", type=Path, default=Path("build/bench/zoo_auc"), help="of the data and each run's figures"
    )
    arguments = parser.parse_args()
    is_real = SAMPLE.is_file() and not arguments.synthetic
    dataset = _dataset(arguments.out, None if is_real else arguments.rows)
    largest, rows = max(case.scale for case in CASES.values()) * BASE_BATCH_SIZE, dataset.rows("train")
    if rows < largest:
        raise SystemExit(f"The largest batch takes {largest:,} training rows; there are {rows:,}. Give more --rows.")
    results: dict[str, dict[str, list[Figures]]] = {}
    for network in sorted(arguments.network or MODEL_NAMES):
        results[network] = {name: [] for name in CASES}
        for seed in range(1, arguments.seeds + 1):
            for name, case in CASES.items():
                figures = run(dataset, arguments.out, network, case, name, seed)
                results[network][name].append(figures)
                auc = f"{figures['metrics']['test_auc']:.4f}" if "metrics" in figures else figures["stopped"]
                print(f"{network}, {name}, seed {seed}: {auc}", flush=True)
    write(report(results, rows, is_real), lambda axes: draw(axes, results))


def _dataset(out: Path, synthetic_rows: int | None) -> Dataset:
    """The dataset of the sample, or of so many synthetic clicks; made where it is not there yet."""
    if synthetic_rows is None:
        data = out / "data-real"
        return Dataset.open(data) if data.is_dir() else make_dataset(SAMPLE, data)
    data = out / f"data-{synthetic_rows}"
    if data.is_dir():
        return Dataset.open(data)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        clicks = Path(folder) / "clicks.tsv.gz"
        synth(clicks, "criteo", synthetic_rows, 1)
        return make_dataset(clicks, data)


def report(results: Mapping[str, Mapping[str, Sequence[Figures]]], rows: int, is_real: bool) -> Report:
    """One line per network: mean and deviation over the seeds of each case."""
    cells, notes = [], []
    for network, by_case in results.items():
        cells.append([network, *(_mean(runs) for runs in by_case.values())])
        for name, runs in by_case.items():
            notes += [f"{network}, {name}: stopped: {figures['stopped']}" for figures in runs if "stopped" in figures]
    header = ["network", *(f"{name}, batch {BASE_BATCH_SIZE * case.scale:,}" for name, case in CASES.items())]
    source = "The real Criteo sample" if is_real else "Synthetic clicks"
    seeds = max(len(runs) for by_case in results.values() for runs in by_case.values())
    return Report(
        name="zoo_auc",
        title=f"Test AUC of all networks at {BASE_BATCH_SIZE} rows and at 64 times as many",
        tables=[Table(f"{source}: {rows:,} training rows, {seeds} seeds; mean (deviation)", header, cells)],
        notes=[
            "Settings are those of bench-better-rule, found with DeepFM; no network has settings tuned for it.",
            "Each run gives the weights of its epoch with the highest validation AUC.",
            *notes,
        ],
        figures={network: dict(by_case) for network, by_case in results.items()},
    )


def _aucs(runs: Sequence[Figures]) -> list[float]:
    return [figures["metrics"]["test_auc"] for figures in runs if "metrics" in figures]


def _mean(runs: Sequence[Figures]) -> str:
    aucs = _aucs(runs)
    if not aucs:
        return "stopped"
    deviation = f" ({statistics.stdev(aucs):.4f})" if len(aucs) > 1 else ""
    return f"{statistics.mean(aucs):.4f}{deviation}"


def draw(axes: Axes, results: Mapping[str, Mapping[str, Sequence[Figures]]]) -> None:
    """A row per network, a point per run."""
    axes.figure.set_size_inches(10, 8)
    for number, name in enumerate(CASES):
        for place, by_case in enumerate(results.values()):
            aucs = _aucs(by_case[name])
            axes.plot(aucs, [place + 0.2 * (number - 1)] * len(aucs), "o", color=f"C{number}", ms=4, alpha=0.8)
        axes.plot([], [], "o", color=f"C{number}", label=name)
    axes.set_yticks(range(len(results)), list(results))
    axes.invert_yaxis()
    axes.set(xlabel="test AUC, one point per seed")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)


if __name__ == "__main__":
    main()
