"""A sweep's run that was trained before in the project is taken over, and nothing that merely resembles it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ctrfast.data.shards import Dataset
from ctrfast.run import Run
from service.assignments import RUN, Assigner
from service.new_jobs import new_job_id
from service.states import Kind
from service.stopping import Stop
from service.sweep_figures import seconds_of
from service.taken_runs import TAKEN_FROM, take_over
from service.wiring import Services
from service.work import do_work
from tests.service.test_job_reports import end
from tests.service.test_work import assignment, ignore

# As the bundle's run was trained, with a default written out.
SPEC: dict[str, Any] = {
    "dataset": "small",
    "batch_size": 500,
    "epochs": 1,
    "model": {"hidden": [8], "embedding_dim": 4},
}


@pytest.fixture
def trained(services: Services, dataset: Path, bundle: Path) -> str:
    """A train job that has succeeded, with its run."""
    shutil.copytree(dataset, services.settings.home_dir / "data" / "prepared")
    services.datasets.register("small", services.settings.home_dir / "data" / "prepared")
    job = services.jobs.enqueue(Kind.TRAIN, {name: value for name, value in SPEC.items() if name != "epochs"})
    end(services, job.id, {"test_auc": 0.5})
    shutil.copytree(bundle.parent / "run", services.settings.job_folder(job.id) / RUN)
    return job.id


def assigned(services: Services, **changes: Any) -> Any:
    """The assignment of a sweep's only run."""
    spec = {**SPEC, **changes}
    services.jobs.enqueue(Kind.SWEEP, {"base": spec, "grid": {"seed": [1]}}, children=[spec], job_id=new_job_id())
    lease = services.leases.claim("w")
    assert lease is not None
    assert lease.parent_id is not None
    return Assigner(services.settings, services.jobs, services.datasets, services.registry).assign(lease), lease


def test_the_same_training_is_found_and_linked(services: Services, trained: str) -> None:
    work, lease = assigned(services)
    assert work.twin == trained
    product = do_work(work, ignore, Stop())
    twin = Run.open(services.settings.job_folder(trained) / RUN)
    run = Run.open(work.folder / RUN)
    assert (product.metrics, product.result) == (twin.metrics, {TAKEN_FROM: trained})
    checkpoint = next(run.checkpoint.glob("*"))
    assert checkpoint.samefile(twin.checkpoint / checkpoint.name)
    services.leases.succeed(lease, product.metrics, lambda _: product.result)
    assert seconds_of(services.jobs.get(lease.job_id)) is None
    again, _ = assigned(services)  # also where the first one's files are gone
    shutil.rmtree(services.settings.job_folder(trained))
    assert (again.twin, assigned(services)[0].twin) == (lease.job_id, lease.job_id)


def test_another_training_is_not(services: Services, trained: str) -> None:
    for changes in ({"seed": 2}, {"epochs": 2}, {"warm_start": {"job": trained}}):
        assert assigned(services, **changes)[0].twin is None
    alone = services.jobs.enqueue(Kind.TRAIN, SPEC)  # no sweep's run: somebody wants it trained
    lease = services.leases.claim("w")
    assert lease is not None
    assert lease.job_id == alone.id
    assigner = Assigner(services.settings, services.jobs, services.datasets, services.registry)
    assert assigner.assign(lease).twin is None
    services.datasets.of("other").register("small", services.settings.home_dir / "data" / "prepared")
    assert services.jobs.of("other").trainings_on("small") == []


def test_a_run_that_is_not_what_it_should_be_is_trained(tmp_path: Path, dataset: Path, bundle: Path) -> None:
    twin, known = bundle.parent / "run", Dataset.open(dataset).hash
    config = Run.open(twin).config
    assert not take_over(tmp_path / "none", tmp_path / "run", config, known, None)
    assert not take_over(twin, tmp_path / "run", config.model_copy(update={"seed": 2}), known, None)
    assert not take_over(twin, tmp_path / "run", config, "0" * 64, None)
    assert not take_over(twin, tmp_path / "run", config, known, twin)  # it was not started from that run
    older = tmp_path / "older"
    shutil.copytree(twin, older)
    receipt = json.loads((older / "receipt.json").read_text())
    (older / "receipt.json").write_text(
        json.dumps({**receipt, "versions": {**receipt["versions"], "ctrfast": "0.0.1"}})
    )
    assert not take_over(older, tmp_path / "run", config, known, None)
    assert not (tmp_path / "run").exists()
    assert take_over(twin, tmp_path / "run", config, known, None)
    assert json.loads((tmp_path / "run" / "receipt.json").read_text())["dataset_hash"] == known


def test_one_that_has_begun_by_itself_goes_on(tmp_path: Path, dataset: Path, bundle: Path) -> None:
    registered = {"dataset": dataset, "dataset_hash": Dataset.open(dataset).hash}
    shutil.copytree(bundle.parent / "run", tmp_path / "twin" / RUN)
    work = assignment(tmp_path / "job", Kind.TRAIN, SPEC, twin="twin", **registered)
    shutil.copytree(bundle.parent / "run", work.folder / RUN)
    assert do_work(work, ignore, Stop()).result == {}  # it was finished, and is not taken again
