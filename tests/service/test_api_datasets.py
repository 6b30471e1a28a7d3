"""Datasets and plans over real HTTP."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ctrfast.architectures import architectures
from ctrfast.folders import seal
from tests.service.conftest import ROWS, Api
from tests.service.test_api_jobs import problem


def test_register_list_get(api: Api, data_root: Path) -> None:
    response = api.client.post("/v1/datasets", json={"name": "small", "path": "prepared"})
    assert response.status_code == 201
    assert response.headers["location"] == "/v1/datasets/small"
    row = response.json()
    assert sum(row["rows"].values()) == ROWS
    assert row["preset"] == "criteo"
    assert str(data_root) not in response.text
    assert api.client.get("/v1/datasets/small").json() == row
    assert api.client.get("/v1/datasets").json() == {"datasets": [row]}
    again = api.client.post("/v1/datasets", json={"name": "small", "path": str(data_root / "prepared")})
    assert (again.status_code, again.json()) == (201, row)


def test_a_name_stands_for_one_content(api: Api, data_root: Path, raw_file: Path) -> None:
    from ctrfast.data.prepare import prepare
    from ctrfast.schema import preset

    prepare([raw_file], preset("criteo"), data_root / "other", min_count=5)
    api.client.post("/v1/datasets", json={"name": "small", "path": "prepared"})
    problem(api.client.post("/v1/datasets", json={"name": "small", "path": "other"}), 409, "name_taken", "name")


def test_the_same_content_from_another_folder_moves_the_name(api: Api, data_root: Path) -> None:
    first = api.client.post("/v1/datasets", json={"name": "small", "path": "prepared"}).json()
    (data_root / "prepared").rename(data_root / "moved")
    again = api.client.post("/v1/datasets", json={"name": "small", "path": "moved"})
    assert (again.status_code, again.json()) == (201, first)
    assert api.services.datasets.get("small").path == str((data_root / "moved").resolve())


def test_a_sealed_manifest_of_a_wrong_form_is_refused(api: Api, data_root: Path) -> None:
    file = data_root / "prepared" / "manifest.json"
    manifest = {key: value for key, value in json.loads(file.read_text()).items() if key not in ("splits", "seal")}
    file.write_text(json.dumps({**manifest, "seal": seal(manifest)}))
    problem(api.client.post("/v1/datasets", json={"name": "n", "path": "prepared"}), 422, "bad_artifact", "path")


def test_a_changed_dataset_is_refused(api: Api, data_root: Path) -> None:
    part = next((data_root / "prepared" / "train").iterdir())
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    body = problem(api.client.post("/v1/datasets", json={"name": "n", "path": "prepared"}), 422, "bad_artifact", "path")
    assert str(data_root) not in body["detail"]


@pytest.mark.parametrize("name", ["nothing", "clicks.tsv.gz", "."])
def test_what_is_no_dataset_is_refused(api: Api, data_root: Path, name: str) -> None:
    body = problem(api.client.post("/v1/datasets", json={"name": "n", "path": name}), 422, "bad_artifact", "path")
    assert str(data_root) not in body["detail"]
    assert name in body["detail"]


def test_paths_outside_the_roots(api: Api, data_root: Path, tmp_path: Path) -> None:
    shutil.copytree(data_root / "prepared", tmp_path / "elsewhere")
    (data_root / "link").symlink_to(tmp_path / "elsewhere")
    for name in (str(tmp_path / "elsewhere"), "../../elsewhere", "link", "%2e%2e/x/../../..", "/"):
        response = api.client.post("/v1/datasets", json={"name": "n", "path": name})
        body = problem(response, 403, "path_not_allowed", "path")
        assert repr(name) in body["detail"]
    assert api.client.get("/v1/datasets").json() == {"datasets": []}


@pytest.mark.parametrize("body", [{"name": "n"}, {"name": "n", "path": "a", "prepare": {}}])
def test_one_way_to_make_a_dataset(shared_api: Api, body: dict[str, object]) -> None:
    problem(shared_api.client.post("/v1/datasets", json=body), 422, "bad_config", "path")


def test_prepare_is_a_job(api: Api, data_root: Path) -> None:
    body = {"name": "made", "prepare": {"raw": ["clicks.tsv.gz"], "preset": "criteo", "min_count": 2}}
    response = api.client.post("/v1/datasets", json=body)
    assert response.status_code == 202
    job = response.json()
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["kind"], job["spec"]["name"]) == ("prepare", "made")
    problem(api.client.post("/v1/datasets", json=body), 409, "name_taken", "prepare.name")  # the job is queued
    api.client.post(f"/v1/jobs/{job['id']}/cancel")
    assert api.client.post("/v1/datasets", json=body).status_code == 202
    api.services.datasets.register("taken", data_root / "prepared")
    taken = {**body, "name": "taken"}
    problem(api.client.post("/v1/datasets", json=taken), 409, "name_taken", "prepare.name")
    spec = {**body["prepare"], "name": "made"}  # type: ignore[dict-item]
    problem(api.client.post("/v1/jobs", json={"kind": "prepare", "spec": spec}), 409, "name_taken", "spec.name")
    bad = {"name": "made2", "prepare": {"raw": ["clicks.tsv.gz"], "preset": "critoe"}}
    assert "criteo" in problem(api.client.post("/v1/datasets", json=bad), 422, "bad_config", "prepare.preset")["detail"]


def test_a_name_is_given_once(shared_api: Api) -> None:
    body = {"name": "A", "prepare": {"name": "B", "raw": ["clicks.tsv.gz"], "preset": "criteo"}}
    problem(shared_api.client.post("/v1/datasets", json=body), 422, "bad_config", "prepare.name")


@pytest.mark.parametrize("route", ["/v1/plans", "/v1/datasets"])
@pytest.mark.parametrize(
    "body", [b'{"\\ud800": 1}', b'{"name": "n", "prepare": {"\\ud800": 1}}', b'{"name": "n", "path": "\\ud800"}']
)
def test_half_a_surrogate_pair(shared_api: Api, route: str, body: bytes) -> None:
    response = shared_api.client.post(route, content=body)
    assert 400 <= response.status_code < 500, response.text
    assert response.json()["code"]


def test_unknown_dataset(shared_api: Api) -> None:
    problem(shared_api.client.get("/v1/datasets/none"), 404, "not_found")


def test_a_plan_gives_resolved_settings_and_reasons(shared_api: Api) -> None:
    body = {"preset": "criteo", "batch_size": 131072, "scaling": {"rule": "cowclip", "base_batch_size": 1024}}
    plan = shared_api.client.post("/v1/plans", json=body).json()
    assert plan["plan"]["lr_dense"] == pytest.approx(90.5e-4, rel=1e-3)
    assert plan["plan"]["l2"] == pytest.approx(128e-5)
    assert "sqrt(128)" in plan["plan"]["reasons"]["lr_dense"]
    assert plan["config"]["model"]["embedding_dim"] == 10
    assert plan["memory"] is None


def test_a_plan_on_a_dataset_estimates_memory_and_finds_what_would_be_refused(api: Api, data_root: Path) -> None:
    row = api.client.post("/v1/datasets", json={"name": "small", "path": "prepared"}).json()
    plan = api.client.post("/v1/plans", json={"dataset": "small", "batch_size": 100}).json()
    memory = plan["memory"]
    assert (memory["table_rows"], memory["row_width"]) == (row["table_rows"], 11)
    assert memory["table_bytes"] == row["table_rows"] * 11 * 4 * 3
    twice = row["table_rows"] * 11 * 4  # updated in place: once as the step has it, once to predict from
    assert memory["by_part"]["table"] + memory["by_part"]["moments"] == memory["table_bytes"] + twice
    assert memory["total_bytes"] == sum(memory["by_part"].values())
    assert sum(field["rows"] for field in memory["by_field"].values()) == row["table_rows"]
    assert plan["steps_per_epoch"] == row["rows"]["train"] // 100
    assert plan["time"]["steps"] == plan["steps_per_epoch"]
    assert 0 < plan["time"]["low_s"] < plan["time"]["high_s"]
    assert "factor of 2" in plan["time"]["basis"]
    assert set(plan["unseen"]["C1"]) == {"train", "valid", "test"}
    assert any(max(shares["valid"], shares["test"]) > 0.2 for shares in plan["unseen"].values())
    assert plan["findings"] == []  # so many were to be expected
    large = api.client.post("/v1/plans", json={"dataset": "small", "batch_size": 100_000}).json()
    assert [finding["path"] for finding in large["findings"] if finding["level"] == "error"] == ["batch_size"]
    shard = next((data_root / "prepared" / "train").iterdir())
    shard.rename(data_root / "elsewhere")
    spoilt = api.client.post("/v1/plans", json={"dataset": "small", "batch_size": 100}).json()
    assert {finding["path"] for finding in spoilt["findings"] if finding["level"] == "error"} == {"dataset"}
    assert str(data_root) not in str(spoilt)
    (data_root / "prepared" / "schema.json").unlink()
    gone = api.client.post("/v1/plans", json={"dataset": "small", "batch_size": 100}).json()
    assert gone["memory"] is None
    assert [finding["path"] for finding in gone["findings"]] == ["dataset"]
    assert str(data_root) not in str(gone)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"dataset": "none"}, "dataset"),
        ({"preset": "none"}, "preset"),
        ({"scaling": {"rule": "none-such"}}, "scaling.rule"),
        ({"batch_sise": 1}, "batch_sise"),
    ],
)
def test_bad_plans(shared_api: Api, body: dict[str, object], path: str) -> None:
    problem(shared_api.client.post("/v1/plans", json=body), 422, "bad_config", path)


def test_the_networks_are_listed_with_what_they_cost(shared_api: Api) -> None:
    answer = shared_api.client.get("/v1/architectures?dataset=small&embedding_dim=4").json()
    expected = architectures(answer["id_fields"], answer["numeric_fields"], 4)
    assert [(each["name"], each["parameters"], each["flops"]) for each in answer["architectures"]] == [
        (each.name, each.parameters, each.flops) for each in expected
    ]
    rows = shared_api.client.get("/v1/datasets/small").json()["table_rows"]
    assert answer["table"] == {"rows": rows, "width": 5, "parameters": 5 * rows}
    of_preset = shared_api.client.get("/v1/architectures?preset=avazu").json()
    assert (of_preset["numeric_fields"], of_preset["table"]) == (0, None)
    problem(shared_api.client.get("/v1/architectures?preset=x"), 422, "bad_config", "preset")
    problem(shared_api.client.get("/v1/architectures?dataset=none"), 422, "bad_config", "dataset")
