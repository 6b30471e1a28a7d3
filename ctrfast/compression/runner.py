"""Two sweeps, one after the other, then the forms of each run, exported and measured as bundles.

lock                   held while a call is at work
wide/  small/          a sweep's folder each (`ctrfast.sweep.folder`)
forms.jsonl            a line per form of each run (`CompressedRow`), added when the run's forms have been measured
results.parquet        the same as a table, of the last call
front.png  front.html  by `ctrfast sweep` at its end (`ctrfast.lab.compression_page`)

Called again, it trains and measures what is missing. Bundles are written to a scratch folder and go: export the one
that is wanted. Those of one run are in memory together, to be timed in turns.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from ctrfast.compression.latency import row_latencies
from ctrfast.compression.row import RESULTS, CompressedRow
from ctrfast.compression.settings import KINDS, CompressionConfig, Kind
from ctrfast.config import TrainConfig
from ctrfast.data.batches import batches
from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError, Cancelled, ConfigError, DataError
from ctrfast.export import write_bundle
from ctrfast.export_costs import bundle_predictions, measure_bundle
from ctrfast.folders import PARTIAL, new_file, refuse_existing, remove_partials, write_file
from ctrfast.forms import Form
from ctrfast.loop.final_calibration import calibrate_run
from ctrfast.model_config import MODEL_OPTIONS, ModelConfig
from ctrfast.models import build_model
from ctrfast.network_sizes import network_size
from ctrfast.prune import pruned
from ctrfast.run import Run
from ctrfast.score import Scorer
from ctrfast.storage import storing
from ctrfast.sweep import Point, SweepProgress, SweepResult, run_sweep, sweep_points
from ctrfast.sweep.folder import LOCK, Row, held
from ctrfast.sweep.grid import settings_text
from ctrfast.sweep.process import COMMAND
from ctrfast.sweep.space import SEED

FORMS = "forms.jsonl"
_SPLIT = "test"
_Key = tuple[str, str, str, float | None]  # run, its seal, precision, share that is pruned
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("kind", "run", "key", "settings", "network", "hidden", "kept")]
    + [("epochs", pa.int64()), ("seed", pa.int64()), ("precision", pa.string()), ("prune", pa.float64())]
    + [(name, pa.float64()) for name in ("train_s", "auc", "log_loss", "calibrated_log_loss")]
    + [("weights", pa.int64()), ("model_bytes", pa.int64())]
    + [(name, pa.float64()) for name in ("row_latency_us", "thousand_rows_ms")]
)


@dataclass(frozen=True)
class CompressionProgress:
    """done: runs trained and runs measured, with the share of the one at work. what: that one, in a line."""

    done: float
    total: int
    what: str


@dataclass(frozen=True)
class CompressionResult:
    """rows: the table. failed: points of both sweeps that failed, as in their `points.jsonl`."""

    rows: tuple[CompressedRow, ...]
    failed: tuple[Row, ...]


def compress(
    dataset: Dataset,
    config: CompressionConfig,
    out: Path,
    *,
    on_progress: Callable[[CompressionProgress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    command: Sequence[str] = COMMAND,
) -> CompressionResult:
    """Train, export and measure what is missing, and write the table.

    Args:
        dataset: opened with its files compared.
        config: the two grids and the forms.
        out: the folder: new, empty, or of such comparisons on the same dataset.
        on_progress: called several times a second while a run trains.
        should_stop: as in `run_sweep`; also asked before a run's forms are measured.
        command: the program of a point.

    Raises:
        ConfigError: the dataset cannot serve a point, a wide network cannot be pruned, or `out` holds something else.
        DataError: the dataset has no test rows.
        CtrFastError: as `run_sweep` and `write_bundle`.
    """
    if not dataset.rows(_SPLIT):
        raise DataError("The dataset must have test rows, which the forms are compared on. Prepare it with some.")
    if not ((out / KINDS[0]).is_dir() or (out / LOCK).is_file()):
        refuse_existing(out)
    points = {kind: sweep_points(config.sweep(kind)) for kind in KINDS}
    _check_pruning(dataset, points["wide"], config)
    with storing(f"The comparison {out}"), held(out):
        total, done = 2 * sum(map(len, points.values())), 0
        results: dict[Kind, SweepResult] = {}
        for kind in KINDS:

            def on_sweep(progress: SweepProgress, kind: Kind = kind, done: int = done) -> None:
                on_progress(CompressionProgress(done + progress.done, total, f"{kind}: {progress.point}"))

            sweep = config.sweep(kind)
            results[kind] = run_sweep(
                dataset, sweep, out / kind, on_progress=on_sweep, should_stop=should_stop, command=command
            )
            done += len(points[kind])
        rows: list[CompressedRow] = []
        remove_partials(out)
        known = _known(out / FORMS)
        for kind, result in results.items():
            for row in result.rows:
                if should_stop():
                    raise Cancelled("Stopped before all forms were measured; the same command goes on.")
                on_progress(CompressionProgress(done, total, f"{kind}: forms of {settings_text(row['settings'])}"))
                if row["state"] == "succeeded":
                    rows += _rows(dataset, kind, config.forms(kind), row, out, known)
                done += 1
        _write(out / RESULTS, rows)
        on_progress(CompressionProgress(total, total, ""))
        return CompressionResult(tuple(rows), tuple(row for result in results.values() for row in result.failed))


def _check_pruning(dataset: Dataset, points: Sequence[Point], config: CompressionConfig) -> None:
    """Prune an untrained network of each kind, which takes no time, before hours are spent on training one."""
    schema = dataset.fitted.schema_
    for point in points if config.prune else ():
        model = point.config.model
        sizes = {"id_fields": len(schema.id_names), "numeric_fields": len(schema.numeric_names)}
        sizes["tasks"] = len(schema.labels)
        try:
            pruned(build_model(model, **sizes, seed=0), config.prune[0])
        except ConfigError as error:
            message = f"The wide network {settings_text(point.settings)}: {error.message}"
            raise ConfigError(f"{message} Or set `prune` to none: [].", path="prune") from error


def _rows(
    dataset: Dataset, kind: Kind, forms: Sequence[Form], row: Row, out: Path, known: dict[_Key, CompressedRow]
) -> list[CompressedRow]:
    """The forms of a run, as they are known, or measured now and kept."""
    run = Run.open(out / kind / "runs" / row["name"])
    place, seal = run.path.relative_to(out).as_posix(), run.seal
    keys = [(place, seal, form.precision, form.prune) for form in forms]
    if not all(key in known for key in keys):
        settings = {name: value for name, value in row["settings"].items() if name != SEED}
        about = {"kind": kind, "run": place, "key": seal, "settings": settings_text(settings)}
        with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=out) as scratch:
            known |= {_key(each): each for each in _measured(dataset, run, forms, about, Path(scratch))}
        write_file(out / FORMS, "".join(each.model_dump_json() + "\n" for each in known.values()))
    return [known[key] for key in keys]


def _measured(
    dataset: Dataset, run: Run, forms: Sequence[Form], about: Mapping[str, Any], scratch: Path
) -> list[CompressedRow]:
    schema, scorers, rows = dataset.fitted.schema_, [], []
    counts = len(schema.id_names), len(schema.numeric_names)
    for index, form in enumerate(forms):
        bundle = scratch / str(index)
        bundle.mkdir()
        write_bundle(run, bundle, form)
        cost, predictions = measure_bundle(bundle, form, dataset, _SPLIT)
        scorers.append(Scorer.load(bundle))
        valid = bundle_predictions(scorers[-1], dataset, "valid")
        calibrated = calibrate_run(bundle, dataset, valid, run.config.seed).metrics(predictions)
        model = TrainConfig.model_validate_json((bundle / "config.json").read_text(encoding="utf-8")).model
        rows.append(
            {
                **about,
                "network": model.name,
                "hidden": _widths(run.config.model),
                "kept": _widths(model),
                "epochs": run.config.epochs,
                "seed": run.config.seed,
                "precision": form.precision,
                "prune": form.prune,
                "train_s": run.receipt.train_s,
                "auc": cost.metrics.get("auc"),
                "log_loss": cost.metrics["log_loss"],
                "calibrated_log_loss": calibrated["calibrated_log_loss"],
                "weights": network_size(model, *counts, tasks=len(schema.labels)).parameters,
                "model_bytes": cost.model_bytes,
                "thousand_rows_ms": cost.latency_s[1000] * 1e3,
            }
        )
    one = next(batches(dataset, _SPLIT, 1))
    seconds = row_latencies(scorers, one.ids, one.numbers)
    return [CompressedRow(**row, row_latency_us=of * 1e6) for row, of in zip(rows, seconds, strict=True)]


def _widths(model: ModelConfig) -> str:
    return "x".join(map(str, model.hidden)) if "hidden" in MODEL_OPTIONS[model.name] else "-"


def _key(row: CompressedRow) -> _Key:
    return row.run, row.key, row.precision, row.prune


def _known(file: Path) -> dict[_Key, CompressedRow]:
    """What earlier calls have measured."""
    if not file.is_file():
        return {}
    try:
        rows = [CompressedRow.model_validate_json(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except ValidationError as error:
        raise ArtifactError(f"The file {file} cannot be read. Remove it; it is made again.") from error
    return {_key(row): row for row in rows}


def _write(file: Path, rows: Sequence[CompressedRow]) -> None:
    with new_file(file) as partial:
        pq.write_table(pa.Table.from_pylist([row.model_dump() for row in rows], _SCHEMA), partial)
