"""A sweep's run that was trained before is taken over: an identical training is never repeated within a project.

What counts as identical is what a run follows from: its settings, the dataset's content, the run that it was started
from, and the versions of packages. The files are linked, not copied: a finished run's files are never written again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ctrfast.config import TrainConfig
from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.folders import new_folder, read_manifest
from ctrfast.run import Run, run_seal, versions_now
from service.specs import TrainSpec, parse_train_spec
from service.tables import Job

TAKEN_FROM = "taken_from"  # in the result of a job: the job whose run it has


def same_training(spec: TrainSpec, jobs: Iterable[Job]) -> list[str]:
    """Ids of jobs that were asked for the same training."""
    return [job.id for job in jobs if _asks_for(job.spec, spec)]


def take_over(twin: Path, run: Path, config: TrainConfig, dataset_hash: str, warm_start: Path | None) -> bool:
    """Make a run folder of a finished run, if that is what a training would give.

    Args:
        twin: the finished run.
        run: where it is wanted; nothing is there.
        config: settings of the training.
        dataset_hash: of its dataset.
        warm_start: the run that it begins with.
    """
    try:
        found = Run.open(twin)
        started_from = read_manifest(twin, "run").get("warm_start")
    except ArtifactError:  # removed or damaged since: then it is trained
        return False
    seal = None if warm_start is None else run_seal(warm_start)
    has = (found.config, found.receipt.dataset_hash, started_from, found.receipt.versions)
    if has != (config, dataset_hash, seal, versions_now()):
        return False
    with new_folder(run) as folder:
        shutil.copytree(twin, folder, copy_function=os.link, dirs_exist_ok=True)
    return True


def _asks_for(values: Mapping[str, Any], spec: TrainSpec) -> bool:
    try:
        other = parse_train_spec(values)
    except ConfigError:  # the settings of another version
        return False
    return (other.config, other.warm_start) == (spec.config, spec.warm_start)
