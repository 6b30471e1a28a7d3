"""Sweeps over HTTP, with one worker whose runs are stand-ins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ctrfast.client import Client
from service.access import ALL_RIGHTS
from service.keys import KeyStore
from service.states import FINAL
from tests.service.conftest import Api, fill_data_root, quick_settings, wait_for
from tests.service.test_api_jobs import problem
from tests.service.test_worker import working

SMALL = {"dataset": "small", "batch_size": 500, "model": {"hidden": [8], "embedding_dim": 4}}
GRID = {"scaling.rule": ["none", "cowclip"], "seed": [1, 2]}


@pytest.fixture(scope="module")
def sweeping(tmp_path_factory: pytest.TempPathFactory, dataset: Path, raw_file: Path) -> Iterator[Api]:
    home = tmp_path_factory.mktemp("sweeping") / "home"
    fill_data_root(home, dataset, raw_file)
    api = Api(quick_settings(home))
    api.services.datasets.register("small", home / "data" / "prepared")
    yield api
    api.close()


def body(**spec: Any) -> dict[str, Any]:
    return {"kind": "sweep", "spec": {"base": SMALL, "grid": GRID, **spec}}


def post(api: Api, **spec: Any) -> dict[str, Any]:
    answer = api.client.post("/v1/jobs", json=body(**spec))
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def get(api: Api, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = api.client.get(f"/v1/jobs/{job_id}").json()
    return found


def ended(api: Api, job_id: str) -> dict[str, Any]:
    def final() -> dict[str, Any] | None:
        job = get(api, job_id)
        return job if job["state"] in FINAL else None

    found: dict[str, Any] = wait_for(final, "the sweep's end")
    return found


def test_submit_list_and_cancel(sweeping: Api) -> None:
    parent = post(sweeping)
    assert (parent["kind"], parent["state"], parent["parent"], parent["position"]) == ("sweep", "queued", None, None)
    assert parent["children"] == {"queued": 4}
    runs = sweeping.client.get("/v1/jobs", params={"parent": parent["id"], "limit": 3}).json()
    assert [run["parent"] for run in runs["jobs"]] == [parent["id"]] * 3
    assert runs["jobs"][0]["children"] is None
    rest = {"parent": parent["id"], "cursor": runs["next_cursor"]}
    assert len(sweeping.client.get("/v1/jobs", params=rest).json()["jobs"]) == 1
    assert sweeping.client.get("/v1/jobs", params={"kind": "sweep"}).json()["jobs"][0]["id"] == parent["id"]
    problem(sweeping.client.get("/v1/jobs", params={"parent": "nope"}), 404, "not_found")
    assert sweeping.client.post(f"/v1/jobs/{parent['id']}/pause").json()["children"] == {"paused": 4}
    assert sweeping.client.post(f"/v1/jobs/{parent['id']}/resume").json()["children"] == {"queued": 4}
    cancelled = sweeping.client.post(f"/v1/jobs/{parent['id']}/cancel").json()
    assert (cancelled["state"], cancelled["children"]) == ("cancelled", {"cancelled": 4})
    assert (
        "retry"
        in problem(sweeping.client.post(f"/v1/jobs/{runs['jobs'][0]['id']}/retry"), 409, "illegal_state")[
            "detail"
        ].lower()
    )


def test_the_same_key_is_the_same_sweep(sweeping: Api) -> None:
    ask = [sweeping.client.post("/v1/jobs", json=body(), headers={"Idempotency-Key": "k"}) for _ in range(2)]
    first, again = (answer.json() for answer in ask)
    assert (first["id"], ask[1].headers["idempotent-replayed"]) == (again["id"], "true")
    other = sweeping.client.post("/v1/jobs", json=body(publish_best_as="m"), headers={"Idempotency-Key": "k"})
    problem(other, 422, "idempotency_conflict")
    sweeping.client.post(f"/v1/jobs/{first['id']}/cancel")


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"grid": {}}, "spec.grid"),
        ({"grid": {"sed": [1]}}, "spec.grid.sed"),
        ({"grid": {"seed": [1, 1]}}, "spec.grid"),
        ({"grid": {"seed": list(range(600)), "batch_size": [100, 200]}}, "spec.grid"),
        ({"grid": {"batch_size": [100, 2401]}}, "spec.grid.batch_size"),
        ({"grid": {"scaling.rule": ["cowclop"]}}, "spec.grid.scaling.rule"),
        ({"grid": [1]}, "spec.grid"),
        ({"base": {**SMALL, "dataset": "smal"}}, "spec.base.dataset"),
        ({"base": {"batch_size": 500}}, "spec.base.dataset"),
        ({"base": {**SMALL, "publish_as": "m"}}, "spec.base.publish_as"),
        ({"base": {**SMALL, "warm_start": {"job": "nope"}}}, "spec.base.warm_start.job"),
        ({"base": {**SMALL, "epochs": 0}}, "spec.base.epochs"),
        ({"publish_best_as": "a b"}, "spec.publish_best_as"),
        ({"publish_as": "m"}, "spec.publish_as"),
    ],
)
def test_refusals_name_the_setting(sweeping: Api, spec: dict[str, Any], path: str) -> None:
    answer = sweeping.client.post("/v1/jobs", json=body(**spec))
    assert answer.status_code == 422, answer.text
    assert answer.json()["path"] == path
    assert sweeping.client.get("/v1/jobs", params={"state": "queued"}).json()["jobs"] == []


def test_a_grid_that_the_queue_can_never_hold(make_api: Any, data_root: Path) -> None:
    api = make_api(max_queued=3)
    api.services.datasets.register("small", data_root / "prepared")
    refused = problem(api.client.post("/v1/jobs", json=body()), 422, "bad_config", "spec.grid")
    assert "at most as many points as jobs may wait, 3" in refused["detail"]


def test_another_projects_sweep_is_not_there(make_api: Any, data_root: Path) -> None:
    api = make_api(require_key=True)
    api.services.datasets.register("small", data_root / "prepared")
    keys = KeyStore(api.services.database)
    mine, other = (keys.create(name, rights=ALL_RIGHTS, project=name) for name in ("default", "other"))
    parent = api.client.post("/v1/jobs", json=body(), headers={"X-API-Key": mine}).json()["id"]
    (run,) = api.services.jobs.page(state=None, kind=None, limit=1, cursor=None, parent=parent).jobs
    foreign = {"X-API-Key": other}
    problem(api.client.get("/v1/jobs", params={"parent": parent}, headers=foreign), 404, "not_found")
    for job in (parent, run.id):
        for action in ("", "/report"):
            problem(api.client.get(f"/v1/jobs/{job}{action}", headers=foreign), 404, "not_found")
        for action in ("cancel", "pause", "resume", "retry"):
            problem(api.client.post(f"/v1/jobs/{job}/{action}", headers=foreign), 404, "not_found")
    assert len(api.client.get("/v1/jobs", params={"parent": parent}, headers={"X-API-Key": mine}).json()["jobs"]) == 4


def test_one_worker_runs_all_and_publishes_the_best_once(sweeping: Api, bundle: Path) -> None:
    with Client(sweeping.url) as client, working(sweeping.services.settings, "grid", bundle):
        job = client.submit("sweep", body(publish_best_as="best")["spec"])
        done = client.wait(job, progress=False, check=True)
        runs = client.jobs(parent=job).jobs
    assert done.children == {"succeeded": 4}
    best = done.result["best"]
    assert (done.result["model"], done.result["version"]) == ("best", 1)
    (chosen,) = [run for run in runs if run.id == best]
    assert chosen.metrics["valid_auc"] == max(run.metrics["valid_auc"] for run in runs)
    (version,) = sweeping.services.registry.get("best").versions
    assert (version.job_id, done.result["run"]) == (best, best)  # evaluations of the model find the run there
    assert [group["runs"] for group in done.metrics["groups"]] == [2, 2]


def test_a_run_that_fails_fails_the_sweep_and_no_other_run(sweeping: Api) -> None:
    with working(sweeping.services.settings, "grid"):
        parent = post(sweeping, grid={"seed": [1, 13, 2]}, publish_best_as="never")
        done = ended(sweeping, parent["id"])
    assert (done["state"], done["reason"], done["children"]) == ("failed", "nan_loss", {"failed": 1, "succeeded": 2})
    assert "never" not in sweeping.services.registry.names()


def test_a_random_search_is_drawn_when_it_is_submitted(sweeping: Api) -> None:
    rates = {"low": 1e-4, "high": 1e-2, "log": True}
    grid = {"optimizer.lr_embed": rates, "seed": [1, 2]}
    parent = post(sweeping, grid=grid, search={"name": "random", "points": 3})
    assert parent["children"] == {"queued": 6}
    runs = sweeping.client.get("/v1/jobs", params={"parent": parent["id"]}).json()["jobs"]
    drawn = {run["spec"]["optimizer"]["lr_embed"] for run in runs}
    assert len(drawn) == 3
    assert all(1e-4 <= rate <= 1e-2 for rate in drawn)
    sweeping.client.post(f"/v1/jobs/{parent['id']}/cancel")


@pytest.mark.parametrize(
    ("spec", "path", "words"),
    [
        ({"search": {"name": "optuna", "points": 3}, "grid": {"seeds": [1]}}, "spec.grid.seeds", "Did you mean"),
        ({"search": {"name": "random", "points": 5}}, "spec.search.points", "drew 2 different"),
        ({"prune": "mean"}, "spec.prune", "median"),
        ({"grid": {"optimizer.l2": {"low": 0, "high": 1}}}, "spec.grid.optimizer.l2", "Add `search`"),
        ({"grid": {"optimizer.l2": {"low": 1, "high": 1}}}, "spec.grid.optimizer.l2", "below `high`"),
    ],
)
def test_searches_that_a_job_cannot_do(sweeping: Api, spec: dict[str, Any], path: str, words: str) -> None:
    assert words in problem(sweeping.client.post("/v1/jobs", json=body(**spec)), 422, "bad_config", path)["detail"]
