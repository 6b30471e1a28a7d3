"""Export a run in a smaller or faster form, with its price beside it, or refuse where the price is too high.

    costs = export_compressed(
        Path("runs/first"), Path("bundles/small"), Form("int8"), Path("data/criteo"), gate=Gate(max_auc_drop=0.0005)
    )
    costs[-1].metrics["auc"] - costs[0].metrics["auc"], costs[-1].model_bytes / costs[0].model_bytes

Every form is written as a bundle and scored as one: figures, bytes and times are those of what is published. What is
published is calibrated anew, on the validation split; the figures of a `Cost` are those before calibration.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctrfast.bundle import GRAPH, KIND, WEIGHTS
from ctrfast.calibration import logits_of
from ctrfast.data.batches import batches
from ctrfast.data.shards import Dataset
from ctrfast.errors import ConfigError
from ctrfast.evaluate import open_split
from ctrfast.export import write_bundle
from ctrfast.folders import PARTIAL, new_folder, read_manifest, write_file, write_manifest
from ctrfast.forms import TRAINED, Cost, Form, Gate
from ctrfast.loop.final_calibration import calibrate_run
from ctrfast.metrics import Predictions
from ctrfast.packing import PRECISIONS
from ctrfast.run import Run
from ctrfast.schema import SPLITS
from ctrfast.score import Scorer

_BATCH = 65_536
_REPEATS = {1: 300, 1000: 30}  # calls by rows: the median tells the latency


def export_compressed(
    run_path: Path,
    out: Path,
    form: Form,
    data: Path,
    *,
    split: str = "test",
    gate: Gate | None = None,
    compare: bool = False,
    saved_model: bool = False,
    on_cost: Callable[[Cost], None] = lambda _: None,
) -> list[Cost]:
    """Write a bundle of this form, unless it costs more than the gate lets through.

    Args:
        run_path: a finished run.
        out: the bundle's folder; must not exist.
        form: of the bundle.
        data: the run's dataset.
        split: whose rows tell the cost.
        gate: `None` writes the bundle at any cost.
        compare: also measure each precision, and the trained precision pruned alike.
        saved_model: also write `saved_model/`, with the same weights.
        on_cost: called with each form's cost as it is known, the trained weights' first, this form's last.

    Returns: what `on_cost` was called with.

    Raises:
        ArtifactError: the run or dataset cannot be used, or a graph scores differently.
        DataError: the split has no rows.
        ConfigError: it costs too much (`path` names the limit), `out` exists, the network has no such form, or the form
            is that of the trained weights, which `export_bundle` writes.
    """
    if form == TRAINED:
        problem = "A bundle of the trained weights costs nothing."
        raise ConfigError(f"{problem} Give `quantize`, `prune` or `prune_pairs`.", path="quantize")
    run = Run.open(run_path)
    dataset = open_split(data, split, run.encoder())
    costs: list[Cost] = []
    with new_folder(out) as folder:
        for other in _forms(form, compare=compare):
            if other == form:
                write_bundle(run, folder, form, saved_model=saved_model)
                cost, predictions = measure_bundle(folder, other, dataset, split)
            else:
                with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=folder.parent) as scratch:
                    write_bundle(run, Path(scratch), other)
                    cost, predictions = measure_bundle(Path(scratch), other, dataset, split)
            costs.append(cost)
            on_cost(cost)
        losses = _losses(costs[0], cost)
        if gate is not None:
            _refuse(form, losses, gate)
        valid = predictions if split == "valid" else bundle_predictions(Scorer.load(folder), dataset, "valid")
        calibration = calibrate_run(folder, dataset, valid, run.config.seed)
        _record(folder, cost.metrics | calibration.metrics(predictions), losses, split)
    return costs


def _forms(form: Form, *, compare: bool) -> Sequence[Form]:
    """The trained weights' first, the wanted one last."""
    others = [Form(precision) for precision in PRECISIONS] if compare else []
    others += [replace(form, precision=TRAINED.precision)] if compare else []
    return [*dict.fromkeys([TRAINED, *(other for other in others if other != form)]), form]


def measure_bundle(bundle: Path, form: Form, dataset: Dataset, split: str) -> tuple[Cost, Predictions]:
    """A bundle's price, and its predictions of the split."""
    scorer = Scorer.load(bundle)
    predictions = bundle_predictions(scorer, dataset, split)
    few = next(batches(dataset, split, max(_REPEATS)))
    latency = {rows: _latency(scorer, few.ids, few.numbers, rows) for rows in _REPEATS}
    size = sum((bundle / name).stat().st_size for name in (WEIGHTS, GRAPH))
    return Cost(form, predictions.metrics(), size, latency), predictions


def bundle_predictions(scorer: Scorer, dataset: Dataset, split: str) -> Predictions:
    """What a loaded bundle predicts for the rows of a split, before calibration."""
    predictions = Predictions(tasks=scorer.tasks)
    for batch in batches(dataset, split, _BATCH):
        predictions.add(batch.labels, logits_of(scorer.predict_arrays(batch.ids, batch.numbers)))
    return predictions


def _latency(scorer: Scorer, ids: npt.NDArray[np.int32], numbers: npt.NDArray[np.float32], rows: int) -> float:
    places = np.arange(rows) % len(ids)
    ids, numbers = ids[places], numbers[places]
    seconds = []
    for _ in range(_REPEATS[rows]):
        start = time.perf_counter()
        scorer.score_arrays(ids, numbers)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _losses(trained: Cost, cost: Cost) -> dict[str, float]:
    """By the gate's names without `max_`; a split with one class alone has no AUC to lose."""
    drop = trained.metrics["auc"] - cost.metrics["auc"] if "auc" in trained.metrics else 0.0
    return {"auc_drop": drop, "log_loss_rise": cost.metrics["log_loss"] - trained.metrics["log_loss"]}


def _refuse(form: Form, losses: Mapping[str, float], gate: Gate) -> None:
    for name, lost in losses.items():
        limit = getattr(gate, f"max_{name}")
        if not lost <= limit:
            raise ConfigError(
                f"`max_{name}` must be at least what the form {form.name} costs, {lost:.2g}. "
                f"Got max_{name}={limit:g}. Choose another form, or force the export.",
                path=f"max_{name}",
            )


def _record(folder: Path, figures: Mapping[str, float], losses: Mapping[str, float], split: str) -> None:
    """Tell the cost in the manifest, and put this form's figures in the place of the trained weights'."""
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    metrics = {name: value for name, value in metrics.items() if not name.startswith(tuple(f"{s}_" for s in SPLITS))}
    metrics |= {f"{split}_{name}": value for name, value in figures.items()}
    write_file(folder / "metrics.json", json.dumps(metrics, indent=1))
    content = {name: value for name, value in read_manifest(folder, KIND).items() if name not in ("files", "seal")}
    content["quantization"] |= {"split": split, **losses}
    write_manifest(folder, content)
