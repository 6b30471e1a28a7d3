"""What a run of a sweep job must have reached, and its end where it has not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from ctrfast.data.shards import Dataset
from service.assignments import Assigner
from service.leases import Report
from service.pruned_runs import PrunedError, bars
from service.states import Kind
from service.stopping import Stop
from service.sweep_specs import parse_sweep_spec
from service.tables import Event
from service.wiring import Services
from service.work import do_work
from tests.service.test_work import TRAIN, assignment, ignore

SWEEP: dict[str, Any] = {"base": {"dataset": "clicks", "batch_size": 500, "epochs": 2}, "grid": {"seed": [1, 2, 3, 4]}}


def test_bars_are_medians_at_the_end_of_each_epoch() -> None:
    series = {
        job: [
            {"epoch": 0, "step": 1, "loss": 0.5},
            {"epoch": 0, "step": 2, "valid_auc": early},
            {"epoch": 1, "step": 3, "valid_auc": 0.1},
            {"epoch": 1, "step": 4, "valid_auc": late},
        ]
        for job, early, late in (("a", 0.6, 0.8), ("b", 0.7, 0.9), ("c", 0.8, 0.7))
    }
    specs = dict.fromkeys(series, TRAIN)
    assert bars(series, specs, rows=1000) == {1: 0.7, 2: 0.8}
    assert bars({"a": series["a"]}, specs, rows=1000) == {}  # too few to hold a run against


@pytest.mark.parametrize(
    ("prune", "forgotten", "expected"), [("median", False, {1: 0.7}), (None, False, {}), ("median", True, {})]
)
def test_a_run_is_held_against_those_that_have_succeeded(
    services: Services, dataset: Path, prune: str | None, forgotten: bool, expected: dict[int, float]
) -> None:
    services.datasets.register("clicks", dataset)
    spec = {**SWEEP, "prune": prune}
    services.jobs.enqueue(Kind.SWEEP, spec, children=parse_sweep_spec(spec).child_specs())
    steps = Dataset.open(dataset).rows("train") // 500
    for auc in (0.6, 0.7, 0.8):
        lease = services.leases.claim("w")
        assert lease is not None
        record = {"epoch": 0, "step": steps, "valid_auc": auc}
        services.leases.renew(lease, Report(progress=0.5, records=[record]))
        services.leases.succeed(lease, {"valid_auc": auc}, lambda _: {})
        if forgotten:
            with services.database.write() as session:
                session.execute(delete(Event).where(Event.job_id == lease.job_id, Event.seq < 3))
    lease = services.leases.claim("w")
    assert lease is not None
    assigner = Assigner(services.settings, services.jobs, services.datasets, services.registry)
    assert assigner.assign(lease).bars == expected


def test_a_hopeless_run_ends_after_its_epoch_and_keeps_a_checkpoint(tmp_path: Path, dataset: Path) -> None:
    registered = {"dataset": dataset, "dataset_hash": Dataset.open(dataset).hash}
    work = assignment(tmp_path / "job", Kind.TRAIN, TRAIN, bars={1: 1.0}, **registered)
    with pytest.raises(PrunedError, match=r"^After epoch 1 its validation AUC was .* below the median 1\.0000"):
        do_work(work, ignore, Stop())
    assert list((work.folder / "run" / "checkpoints").glob("step-*"))
