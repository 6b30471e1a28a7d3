"""Each route, taken from the OpenAPI document, asked with each kind of key."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.access import ALL_RIGHTS, NEEDS, Right
from service.assignments import OUTPUTS, RUN
from service.keys import KeyStore
from service.projects import DEFAULT_PROJECT
from service.states import Kind
from service.tables import Job
from tests.service.conftest import Api, fill_data_root, publish, quick_settings
from tests.service.test_api_jobs import TRAIN, problem
from tests.service.test_job_reports import end

OPEN = {"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"}
BODIES: dict[str, Any] = {
    "/v1/jobs": {"kind": "train", "spec": TRAIN},
    "/v1/datasets": {"name": "again", "path": "prepared"},
    "/v1/plans": {"dataset": "small", "batch_size": 100},
    "/v1/models/{name}/aliases/{alias}": {"version": 1},
    "/v1/models/{name}/traffic": {},
    "/v1/models/{name}:predict": {"instances": [{}]},
    "/v1/models/{name}/versions/{version}:predict": {"instances": [{}]},
    "/v1/models/{name}/labels/{alias}:predict": {"instances": [{}]},
    "/v1/models/{name}:explain-encoding": {"instances": [{}]},
    "/v1/models/{name}:explain": {"instances": [{}]},
    "/v1/score": {"model": "ctr", "candidates": [{}]},
    "/v2/models/{name}/infer": {"inputs": []},
    "/v2/models/{name}/versions/{version}/infer": {"inputs": []},
}
# What a good key gets besides 200, 201 and 202: the job has been cancelled already, the version is behind an alias.
CONFLICTS = {f"/v1/jobs/{{job_id}}/{action}" for action in ("cancel", "pause", "resume")}
# Named in the body of what is stored or planned: a thing of another project is a setting that is wrong.
NAMED_IN_BODY = {"/v1/jobs", "/v1/plans"}


class World:
    """An API that demands keys, with one of each thing in the default project."""

    def __init__(self, home: Path, bundle: Path) -> None:
        self.api = Api(quick_settings(home, require_key=True))
        self.keys = KeyStore(self.api.services.database)
        services = self.api.services
        services.datasets.register("small", home / "data" / "prepared")
        publish(self.api, bundle)
        job = services.jobs.enqueue(Kind.SCORE, {})
        services.jobs.cancel(job.id)
        with services.database.write() as session:
            session.get_one(Job, job.id).result = {"outputs": ["scores.parquet"]}
        outputs = services.settings.job_folder(job.id) / OUTPUTS
        outputs.mkdir(parents=True)
        (outputs / "scores.parquet").touch()
        self.job_id = job.id
        spec = {"base": {}, "grid": {"seed": [1]}}
        self.trained = []
        for _ in range(2):
            trained = services.jobs.enqueue(Kind.TRAIN, TRAIN)
            end(services, trained.id, {})
            shutil.copytree(bundle.parent / "run", services.settings.job_folder(trained.id) / RUN)
            self.trained.append(trained.id)
        self.sweep_id = services.jobs.enqueue(Kind.SWEEP, spec, children=[{"seed": 1}]).id
        services.jobs.cancel(self.sweep_id)  # however it ends, it has a report

    def routes(self) -> list[tuple[str, str]]:
        """(method, template) of all routes but the open ones."""
        paths = self.api.app.openapi()["paths"]
        return [(method.upper(), path) for path in paths if path not in OPEN for method in paths[path]]

    def ask(self, method: str, template: str, key: str | None) -> httpx.Response:
        """Send a good request to a route."""
        name = "scores.parquet" if "outputs" in template else "small" if "datasets" in template else "ctr"
        job_id = self.sweep_id if template.endswith("{job_id}/report") else self.job_id
        params = None
        if template.endswith("/comparison"):
            job_id, params = self.trained[0], {"with": self.trained[1]}
        path = template.format(job_id=job_id, name=name, version=1, alias="latest")
        headers = {} if key is None else {"X-API-Key": key}
        body = BODIES.get(template) if method in ("POST", "PUT") else None
        answer = self.api.client.request(method, path, json=body, headers=headers, params=params)
        if template.endswith("/retry") and answer.is_success:
            self.api.services.jobs.cancel(self.job_id)  # its events would never end
        return answer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, dataset: Path, raw_file: Path, bundle: Path) -> Iterator[World]:
    home = tmp_path_factory.mktemp("world") / "home"
    fill_data_root(home, dataset, raw_file)
    world = World(home, bundle)
    yield world
    world.api.close()


def needed(method: str, template: str) -> Right:
    right = NEEDS[(method, template)]
    assert right is not None
    return right


def test_the_table_names_every_route_and_no_other(world: World) -> None:
    described = {(method, path) for method, path in world.routes()}
    table = {route for route, right in NEEDS.items() if right is not None}
    assert described == table
    assert {path for (_, path), right in NEEDS.items() if right is None} == OPEN | {"/docs"}


def test_no_key_and_keys_that_are_not_good(world: World) -> None:
    expired = world.keys.create("old", rights=ALL_RIGHTS, expires_at=time.time() - 1)
    revoked = world.keys.create("gone", rights=ALL_RIGHTS)
    assert world.ask("GET", "/v1/jobs", revoked).status_code == 200
    assert world.api.services.keys.revoke(revoked.partition(".")[0])
    good = world.keys.create("good", rights=ALL_RIGHTS)
    routes = world.routes()
    assert len(routes) > 20
    for method, template in [*routes, ("GET", "/docs"), ("GET", "/openapi.json")]:
        for key in (None, expired, revoked, good[:-1] + ("a" if good[-1] != "a" else "b")):
            problem(world.ask(method, template, key), 401, "unauthorized")


def test_a_key_without_the_scope(world: World) -> None:
    keys = {right: world.keys.create("most", rights=ALL_RIGHTS - {right}) for right in Right}
    for method, template in world.routes():
        right = needed(method, template)
        assert f"`{right}`" in problem(world.ask(method, template, keys[right]), 403, "missing_scope")["detail"]


def test_another_projects_key_sees_nothing(world: World) -> None:
    key = world.keys.create("other", rights=ALL_RIGHTS, project="other")
    for method, template in world.routes():
        answer = world.ask(method, template, key)
        if "{" in template or template == "/v1/score":
            problem(answer, 404, "not_found", "model" if template == "/v1/score" else None)
        elif method == "POST" and template in NAMED_IN_BODY:
            assert answer.status_code == 422, (template, answer.text)
        else:
            assert answer.status_code in (200, 201), (method, template, answer.text)
        if template == "/v1/audit":  # its own refusals, and how it was made
            assert {entry["caller"] for entry in answer.json()["entries"]} <= {key.partition(".")[0], ""}
        elif template != "/metrics":  # the operator's figures count over all projects
            for known in (world.job_id, '"ctr"', '"small"'):
                assert "{" in template or known not in answer.text, (method, template, answer.text)


def test_the_right_scope_alone_is_enough(world: World) -> None:
    keys = {right: world.keys.create("one", rights=[right]) for right in Right}
    for method, template in world.routes():
        answer = world.ask(method, template, keys[needed(method, template)])
        expected = {409} if template in CONFLICTS or method == "DELETE" else {200, 201, 202}
        assert answer.status_code in expected, (method, template, answer.text)
    for path in ("/docs", "/openapi.json"):
        assert world.ask("GET", path, keys[Right.SCORE]).status_code == 200


def test_names_repeat_between_projects(world: World, bundle: Path) -> None:
    services = world.api.services
    key = world.keys.create("twin", rights=ALL_RIGHTS, project="twin")
    client = httpx.Client(base_url=world.api.url, headers={"X-API-Key": key}, timeout=120)
    with client:
        assert client.post("/v1/datasets", json={"name": "small", "path": "prepared"}).status_code == 201
        publish(world.api, bundle, project="twin")
        publish(world.api, bundle, project="twin")
        assert client.get("/v1/models/ctr").json()["aliases"] == {"latest": 2}
        assert client.post("/v1/models/ctr:predict", json={"instances": [{}]}).headers["x-model-version"] == "2"
        assert client.post("/v1/score", json={"model": "ctr", "candidates": [{}]}).json()["version"] == 2
        assert client.put("/v1/models/ctr/aliases/stable", json={"version": 1}).status_code == 200
        made = client.post("/v1/jobs", json={"kind": "train", "spec": TRAIN}, headers={"Idempotency-Key": "k"}).json()
        assert [job["id"] for job in client.get("/v1/jobs", params={"state": "queued"}).json()["jobs"]] == [made["id"]]
    assert services.registry.get("ctr").aliases == {"latest": 1}
    assert services.settings.model_folder("twin", "ctr", 2).is_relative_to(services.settings.home_dir / "projects")
    assert services.registry.folder("ctr", 1) == services.settings.home_dir / "models" / "ctr" / "1"
    default = {job.id for job in services.jobs.page(state=None, kind=None, limit=200, cursor=None).jobs}
    assert made["id"] not in default
    services.jobs.of("twin").cancel(made["id"])


def test_a_local_caller_is_the_default_project(make_api: Callable[..., Api]) -> None:
    api = make_api()
    keys = KeyStore(api.services.database)
    job = api.client.post("/v1/jobs", json={"kind": "prepare", "spec": {}})
    assert job.status_code == 422  # all rights, and the spec is looked at
    mine = api.services.jobs.enqueue(Kind.TRAIN, {})
    assert api.client.get(f"/v1/jobs/{mine.id}").status_code == 200
    other = keys.create("other", project="other")
    assert api.client.get(f"/v1/jobs/{mine.id}", headers={"X-API-Key": other}).status_code == 404
    default = keys.create("default", project=DEFAULT_PROJECT)
    assert api.client.get(f"/v1/jobs/{mine.id}", headers={"X-API-Key": default}).status_code == 200
    problem(api.client.get("/v1/jobs", headers={"X-API-Key": "no.key"}), 401, "unauthorized")
