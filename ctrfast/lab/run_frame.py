"""Runs as one pandas frame: a row per run, with all of its settings, its plan and its final figures.

    frame = runs("sweeps/rules")                     a sweep's folder
    frame = runs(["runs/first", "runs/second"])      run folders, sweeps' folders, or folders that hold runs
    frame = runs(client.report(sweep))               the report of a sweep job: what the grid set, and the figures

| columns | what |
| --- | --- |
| `name`, `folder` | of the run, or the job's id; `folder` is missing where the run is on another machine |
| `state`, `reason` | `succeeded`, `failed`, `queued` ...; `unfinished` for a run folder without a receipt |
| `batch_size`, `seed`, `scaling.rule`, `model.name` ... | settings by dotted name, as they were set |
| `plan.lr_dense`, `plan.scale` ... | what the scaling rule made of them |
| `test_auc`, `valid_log_loss` ... | final figures |
| `seconds`, `rows_per_s` | of the training, with evaluations; a job's `seconds` count waiting too |
| `epoch_s` | `seconds` per epoch; missing where the run's length in epochs is not known, or for lack of `seconds` |
| `steps`, `ended_by` | of the optimizer; `epochs`, `early_stop` or `callback` |
| `dataset` | its hash |
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
from pydantic import ValidationError

from ctrfast.config import TrainConfig
from ctrfast.dotted import flat_settings
from ctrfast.errors import ArtifactError, DataError
from ctrfast.folders import kind_of
from ctrfast.lab.records import read_records, steps_per_epoch
from ctrfast.model_config import ModelConfig
from ctrfast.optim.scaling import Plan
from ctrfast.run import RECEIPT, Receipt, open_started
from ctrfast.sweep.folder import POINTS, SETTINGS
from ctrfast.sweep.grid import SweepConfig, make_point
from ctrfast.task_config import TASK_SETTINGS
from ctrfast.tower_config import TOWER_SETTINGS

# Of each tower and of each kind of heads: they have settings of their own.
_MODELS = (
    *(ModelConfig(tower=tower()) for tower in TOWER_SETTINGS.values()),
    *(ModelConfig(tasks=tasks()) for tasks in TASK_SETTINGS.values()),
)
_CONFIGS = tuple(TrainConfig(model=model) for model in _MODELS)
SETTING_NAMES = tuple(dict.fromkeys(name for each in _CONFIGS for name in flat_settings(each.model_dump())))
Source: TypeAlias = str | Path | Mapping[str, Any] | Iterable[str | Path | Mapping[str, Any]]
_Row = dict[str, Any]


def runs(source: Source) -> pd.DataFrame:
    """A row per run; failed and unfinished ones have no figures.

    Args:
        source: a sweep's folder, a run's, one that holds runs, a sweep job's report, or several of these.

    Raises:
        ArtifactError: a folder holds neither, or its files cannot be read.
        DataError: there is no run.
    """
    sources = [source] if isinstance(source, str | Path | Mapping) else list(source)
    rows = [row for each in sources for row in _rows(each)]
    if not rows:
        raise DataError("There must be at least one run. Got none. Name folders of runs or of sweeps.", path="source")
    return pd.DataFrame(rows)


def _rows(source: str | Path | Mapping[str, Any]) -> Iterator[_Row]:
    if isinstance(source, Mapping):
        return _of_report(source)
    folder = Path(source)
    if kind_of(folder) == "run":
        return iter([_of_run(folder)])
    if (folder / SETTINGS).is_file():
        return _of_sweep(folder)
    if not folder.is_dir():
        raise ArtifactError(f"There is no folder {folder}. Name the folder of a run or of a sweep.")
    return (_of_run(path) for path in sorted(folder.iterdir()) if kind_of(path) == "run")


def _of_run(folder: Path) -> _Row:
    config, dataset = open_started(folder)
    try:
        plan = Plan.model_validate_json((folder / "plan.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"The plan.json of {folder} cannot be read. Train the run again.") from error
    row = _row(folder.name, folder, config, plan.model_dump(exclude={"reasons"}), dataset)
    receipt = _receipt(folder)
    if receipt is None:
        return row | {"state": "unfinished"}
    return row | {"state": "succeeded", **_figures(folder, receipt)}


def _of_sweep(folder: Path) -> Iterator[_Row]:
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        config = SweepConfig(base=settings["base"], grid=settings["grid"], search=settings["search"])
        lines = (folder / POINTS).read_text(encoding="utf-8").splitlines()
        points = [(make_point(config, told["settings"]), told) for told in map(json.loads, lines)]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"The tables of the sweep {folder} cannot be read. Run the sweep again.") from error
    for point, told in points:
        path = folder / "runs" / told["name"]
        row = _row(told["name"], path, point.config, told["plan"], settings["dataset"])
        speed = {figure: told[figure] for figure in ("seconds", "rows_per_s")}
        row |= {"state": told["state"], "reason": told["reason"], **told["metrics"], **speed}
        receipt = _receipt(path)
        yield row | (_figures(path, receipt) if receipt is not None else {})


def _of_report(report: Mapping[str, Any]) -> Iterator[_Row]:
    if not isinstance(report.get("runs"), list):
        raise DataError(
            "A sweep job's report must have `runs`. Give the answer of GET /v1/jobs/ID/report.", path="runs"
        )
    for run in report["runs"]:  # of an older service, without `batch_size` and `epoch_s`
        yield {
            "name": run["job"],
            "folder": None,
            "state": run["state"],
            "reason": run["reason"],
            "batch_size": run.get("batch_size"),
            **{name: _plain(value) for name, value in flat_settings(run["settings"]).items()},
            **run["metrics"],
            "seconds": run["seconds"],
            "epoch_s": run.get("epoch_s"),
        }


def _row(name: str, folder: Path, config: TrainConfig, plan: Mapping[str, Any], dataset: str) -> _Row:
    settings = {key: _plain(value) for key, value in flat_settings(config.model_dump()).items()}
    planned = {f"plan.{key}": value for key, value in plan.items()}
    return {"name": name, "folder": str(folder), "reason": None, "dataset": dataset, **settings, **planned}


def _figures(folder: Path, receipt: Receipt) -> _Row:
    each = steps_per_epoch(read_records(folder), ended_by=receipt.ended_by)
    epochs = receipt.steps / each if each else None
    return {
        **receipt.metrics,
        "seconds": receipt.train_s,
        "rows_per_s": receipt.rows_per_s,
        "epoch_s": receipt.train_s / epochs if epochs else None,
        "steps": receipt.steps,
        "ended_by": receipt.ended_by,
    }


def _receipt(folder: Path) -> Receipt | None:
    """What a finished run came to."""
    try:
        return Receipt.model_validate_json((folder / RECEIPT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise ArtifactError(f"The {RECEIPT} of {folder} cannot be read. Train the run again.") from error


def _plain(value: Any) -> Any:
    """A value that pandas can compare: lists as text, `400x400x400`."""
    return "x".join(map(str, value)) if isinstance(value, list | tuple) else value
