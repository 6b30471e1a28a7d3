"""One dense student of a run's experts, measured beside its teacher and beside itself without one.

    student/       the run that begins with the teacher's merged experts and learns from its probabilities too
    alone/         a run of the same settings that has nothing but the labels
    report.json    AUC, log loss, size and one-row latency of teacher, student and alone

    told = distil(Path("runs/moe"), Path("data/criteo"), Path("distilled"), into="deepfm")
    [(each.who, each.auc, each.row_latency_us) for each in told.networks]

All three are exported, and measured as bundles on the same rows. `ctrfast.teacher` says what the student is given.

Source: Xue et al. 2022, "One Student Knows All Experts Know", arXiv:2201.10890.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from ctrfast.config import TrainConfig
from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError
from ctrfast.evaluate import open_split
from ctrfast.export import write_bundle
from ctrfast.export_costs import measure_bundle
from ctrfast.folders import refuse_existing, write_file
from ctrfast.forms import TRAINED
from ctrfast.loop.progress import Progress
from ctrfast.network_sizes import network_size
from ctrfast.run import RECEIPT, Run, origin_of
from ctrfast.teacher import Teacher
from ctrfast.train import train

REPORT = "report.json"
Who = Literal["teacher", "student", "alone"]


class DistilledNetwork(BaseModel):
    """One of the three.

    who: which. run: its folder. model, tower: of its network. weights: outside the table. auc, log_loss: before
    calibration. model_bytes: weights and graph of its bundle. row_latency_us: median of one row, encoded, to its score
    on one thread.
    """

    model_config = ConfigDict(frozen=True)

    who: Who
    run: str
    model: str
    tower: str
    weights: int
    auc: float
    log_loss: float
    model_bytes: int
    row_latency_us: float


class Distillation(BaseModel):
    """What distilling came to. dataset: its hash. split, rows: what was measured on. share: of soft labels."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    split: str
    rows: int
    share: float
    networks: tuple[DistilledNetwork, ...]


def distil(
    run_path: Path,
    data: Path,
    out: Path,
    *,
    into: str,
    share: float = 0.5,
    epochs: int | None = None,
    split: str = "test",
    resume: bool = False,
    on_progress: Callable[[Who, Progress], None] = lambda *_: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Distillation:
    """Train student and alone, measure all three, and write the report.

    Args:
        run_path: a finished run of a mixture of experts.
        data: the dataset that it was trained on.
        out: the folder to fill; must not exist, or be empty, unless `resume`.
        into: name of the student's network, whose tower takes the same input as the teacher's.
        share: of the teacher's probability in a label, 0 to 1.
        epochs: of student and alone; by default as many as the teacher's.
        split: whose rows tell AUC and log loss.
        resume: go on where an earlier call of the same arguments was ended.
        on_progress: called as in `train`, with who is being trained.
        should_stop: as in `train`.

    Raises:
        ConfigError: the run is no teacher, `into` is no student of it, or `out` exists.
        ArtifactError: run or dataset cannot be used together, or `out` holds runs of other settings.
        DataError: the split has no rows.
        CtrFastError: as `train`.
    """
    run = Run.open(run_path)
    dataset = open_split(data, split, run.encoder())
    teacher = Teacher(run, dataset, into, share)
    if not resume:
        refuse_existing(out)
    config = teacher.config if epochs is None else teacher.config.model_copy(update={"epochs": epochs})
    paths: dict[Who, Path] = {"teacher": run_path, "student": out / "student", "alone": out / "alone"}

    def learn(who: Who, given: Teacher | None) -> None:
        if not _is_done(paths[who], config, dataset, given):
            train(
                dataset,
                config,
                paths[who],
                resume=resume,
                on_progress=partial(on_progress, who),
                should_stop=should_stop,
                teacher=given,
            )

    learn("student", teacher)
    del teacher
    gc.collect()  # its compiled function and it refer to each other; the memory estimate of `alone` has no teacher
    learn("alone", None)
    networks = tuple(measure_network(who, paths[who], dataset, split) for who in get_args(Who))
    told = Distillation(dataset=dataset.hash, split=split, rows=dataset.rows(split), share=share, networks=networks)
    write_file(out / REPORT, told.model_dump_json(indent=1))
    return told


def _is_done(path: Path, config: TrainConfig, dataset: Dataset, teacher: Teacher | None) -> bool:
    """Whether an earlier call has finished this run."""
    if not (path / RECEIPT).is_file():
        return False
    run, origin = Run.open(path), teacher.origin if teacher else {}
    if (run.config, run.receipt.dataset_hash, origin_of(path)) != (config, dataset.hash, origin):
        problem = f"The run {path} is of other settings, another dataset or another teacher."
        raise ArtifactError(f"{problem} Give the same ones to go on, or another folder.", path="out")
    return True


def measure_network(who: Who, path: Path, dataset: Dataset, split: str) -> DistilledNetwork:
    """A finished run's AUC, log loss, size and one-row latency, as those of its bundle.

    Args:
        who: which of the three it is.
        path: the run.
        dataset: the one that it was trained on.
        split: whose rows tell AUC and log loss.

    Raises:
        ArtifactError: the run is not whole.
    """
    run = Run.open(path)
    with tempfile.TemporaryDirectory(prefix="ctrfast-distil-") as scratch:
        write_bundle(run, Path(scratch))
        cost, _ = measure_bundle(Path(scratch), TRAINED, dataset, split)
    model, schema = run.config.model, dataset.fitted.schema_
    return DistilledNetwork(
        who=who,
        run=str(path),
        model=model.name,
        tower=model.tower.name,
        weights=network_size(model, len(schema.id_names), len(schema.numeric_names)).parameters,
        auc=cost.metrics["auc"],
        log_loss=cost.metrics["log_loss"],
        model_bytes=cost.model_bytes,
        row_latency_us=cost.latency_s[1] * 1e6,
    )
