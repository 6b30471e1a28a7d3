"""A trained model and its gates: stored in any case, put behind `latest` if it may be. In each database and store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.deliveries import ChampionMovedError, Deliveries
from service.gates import COMPARISON
from service.problems import GatesRefusedError
from service.states import Kind
from service.wiring import Services
from tests.service.conftest import IN_EACH_STORE, wait_for
from tests.service.test_leases import claim
from tests.service.test_registry import make_bundle
from tests.service.test_worker import register_dataset, working

pytestmark = IN_EACH_STORE


def train(services: Services, comparison: dict[str, Any], **gates: Any) -> dict[str, Any]:
    """Deliver a trained model as a worker does; its job's result."""
    spec = {"dataset": "d", "publish_as": "m", **({"gates": gates} if gates else {})}
    job = services.jobs.enqueue(Kind.TRAIN, spec)
    lease = claim(services)
    made = make_bundle(services, job.id)
    folder = services.settings.job_folder(job.id)
    folder.mkdir(parents=True, exist_ok=True)
    made.rename(folder / "bundle")
    deliveries = Deliveries(services.settings, services.datasets, services.registry)
    result = {COMPARISON: comparison}
    try:
        services.leases.succeed(lease, {}, lambda session: deliveries.deliver(session, lease, {}, result))
    except ChampionMovedError:
        services.leases.stopped(lease)
        services.jobs.cancel(job.id)
        raise
    return {**services.jobs.get(job.id).result, "job": job.id}


def against(version: int, auc: float) -> dict[str, Any]:
    """A comparison with a champion of AUC 0.8."""
    return {"version": version, "split": "test", "rows": "same", "candidate": {"auc": auc}, "champion": {"auc": 0.8}}


def warnings(services: Services, job_id: str) -> list[str]:
    events = services.jobs.events(job_id, 0).events
    return [event.data["message"] for event in events if event.type == "warning"]


def test_a_worse_model_is_stored_and_not_published(services: Services) -> None:
    first = train(services, {})
    assert first["published"] | {"compared": None} == {
        "version": 1,
        "alias": "latest",
        "refused": [],
        "overruled": [],
        "compared": None,
    }
    result = train(services, against(1, 0.79))
    reason = "AUC 0.79000, the champion's 0.80000; `max_auc_drop` is 0.002."
    published = result["published"]
    assert (result["version"], published["alias"], published["refused"]) == (2, None, [reason])
    assert published["compared"]["champion"] == {"auc": 0.8}
    assert services.jobs.get(result["job"]).state == "succeeded"
    (warning,) = warnings(services, result["job"])
    assert reason in warning
    assert "`latest` stays on version 1" in warning.replace("'", "`")
    model = services.registry.get("m")
    assert (model.aliases, model.on_disk) == ({"latest": 1}, {1, 2})
    assert model.versions[1].verdict == {name: published[name] for name in ("refused", "overruled", "compared")}


def test_the_warning_says_where_figures_of_other_rows_come_from(services: Services) -> None:
    train(services, {})
    result = train(services, {**against(1, 0.5), "rows": "others", "note": "There is no bundle at 1."})
    (warning,) = warnings(services, result["job"])
    assert warning.endswith("The champion's figures are those of its own dataset: There is no bundle at 1.")


def test_a_refused_version_is_promoted_by_force_alone_and_any_alias_takes_it(services: Services) -> None:
    train(services, {})
    train(services, against(1, 0.5))
    with pytest.raises(GatesRefusedError):
        services.registry.set_alias("m", "latest", 2)
    services.registry.set_alias("m", "candidate", 2)
    services.registry.set_alias("m", "latest", 2, force=True)
    assert services.registry.get("m").aliases == {"candidate": 2, "latest": 2}


def test_better_models_and_forced_ones_are_published(services: Services) -> None:
    train(services, {})
    assert train(services, against(1, 0.81))["published"]["alias"] == "latest"
    forced = train(services, against(2, 0.5), force=True)["published"]
    assert (forced["alias"], forced["refused"], len(forced["overruled"])) == ("latest", [], 1)
    assert train(services, against(3, 0.5), max_auc_drop=None)["published"]["alias"] == "latest"
    services.registry.set_alias("m", "latest", 3)  # a forced one needs no force again
    assert services.registry.get("m").aliases == {"latest": 3}


def test_a_champion_that_moved_is_compared_with_again(services: Services) -> None:
    train(services, {})
    train(services, against(1, 0.81))
    for stale in ({}, against(1, 0.9)):
        with pytest.raises(ChampionMovedError):
            train(services, stale)
    assert [row.version for row in services.registry.get("m").versions] == [1, 2]


def test_the_worker_puts_such_a_job_back(services: Services, tmp_path: Path) -> None:
    train(services, {})
    bundle = make_bundle(services, "next")
    register_dataset(services)
    job_id = services.jobs.enqueue(Kind.TRAIN, {"dataset": "d", "publish_as": "m"}).id
    with working(services.settings, "stale-once", bundle, tmp_path / "marker"):
        job = wait_for(lambda: (job := services.jobs.get(job_id)).finished_at and job, "the job's end")
    assert (job.state, job.attempt, job.result["published"]["alias"]) == ("succeeded", 2, "latest")
    assert job.result["published"]["compared"]["version"] == 1
    moved = [event.data.get("message", "") for event in services.jobs.events(job_id, 0).events]
    assert any("`latest` was moved" in message for message in moved)
