"""What values became, what they add, and drift, over real HTTP; and who answers where traffic is split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctrfast.explain import explain_score
from ctrfast.score import Scorer
from tests.service.conftest import Api, publish, wait_for
from tests.service.test_api_jobs import problem


def test_what_raw_values_became(shared_api: Api) -> None:
    body = {"instances": [{"I1": "3", "C1": "never-seen"}, {}]}
    answer = shared_api.client.post("/v1/models/ctr:explain-encoding", json=body).json()
    assert (answer["model"], answer["version"], len(answer["rows"])) == ("ctr", 1, 2)
    fields = {field["name"]: field for field in answer["rows"][0]}
    assert (fields["I1"]["raw"], fields["I1"]["number"]) == ("3", 3.0)
    assert [(value["text"], value["became"]) for value in fields["C1"]["values"]] == [("never-seen", "unseen")]
    assert {field["values"][0]["became"] for field in answer["rows"][1] if field["kind"] == "id"} == {"missing"}


def test_what_each_field_adds(shared_api: Api, bundle: Path) -> None:
    row = {"I1": 3, "C1": "x"}
    answer = shared_api.client.post("/v1/models/ctr:explain", json={"instances": [{}, row], "pairs": 2}).json()
    expected = explain_score(Scorer.load(bundle), row, pairs=2)
    assert answer["rows"][1]["probability"] == pytest.approx(expected.probability, abs=1e-6)
    assert len(answer["rows"][1]["fields"]) == 39
    assert len(answer["rows"][1]["pairs"]) == 1


@pytest.mark.parametrize("verb", ["explain", "explain-encoding"])
def test_a_bad_row_is_named(shared_api: Api, verb: str) -> None:
    body: dict[str, Any] = {"instances": [{}, {"I1": "many"}]}
    detail = problem(shared_api.client.post(f"/v1/models/ctr:{verb}", json=body), 422, "bad_data", "instances[1].I1")
    assert detail["detail"].startswith("Row 1: `I1`")
    body = {"instances": [{}] * 101}
    problem(shared_api.client.post(f"/v1/models/ctr:{verb}", json=body), 422, "bad_request", "instances")
    problem(shared_api.client.post(f"/v1/models/ctx:{verb}", json={"instances": [{}]}), 404, "not_found")
    problem(shared_api.client.post(f"/v1/models/ctr:{verb}", json={"instances": [{}], "version": 2}), 404, "not_found")


def test_drift_counts_what_was_scored(api: Api, bundle: Path) -> None:
    publish(api, bundle)
    before = api.client.get("/v1/models/ctr/drift").json()
    assert (before["rows"], before["version"]) == (0, 1)
    rows = [{"I1": 1, "C1": "never-seen"}] * 300
    assert api.client.post("/v1/models/ctr:predict", json={"instances": rows}).is_success
    assert api.client.post("/v1/models/ctr:predict", json={"instances": rows[:7]}).is_success
    drift = api.client.get("/v1/models/ctr/drift?version=1").json()
    assert (drift["rows"], drift["hours"]) == (307, 24)
    fields = {field["name"]: field for field in drift["fields"]}
    assert (fields["C1"]["unseen"], fields["C1"]["reading"], fields["C2"]["missing"]) == (1.0, "large", 1.0)
    problem(api.client.get("/v1/models/ctr/drift?version=2"), 404, "not_found")


def test_traffic_decides_who_answers(make_api: Callable[..., Api], bundle: Path) -> None:
    api = make_api()
    publish(api, bundle)
    publish(api, bundle)
    assert api.client.put("/v1/models/ctr/aliases/old", json={"version": 1}).is_success
    shares = {"latest": 0.5, "old": 0.5}
    settings = {"split": {"by": "label", "shares": shares}, "shadow": {"alias": "old", "share": 1.0}}
    assert api.client.put("/v1/models/ctr/traffic", json=settings).is_success
    wait_for(lambda: api.services.shelf.traffic("default", "ctr"), "the traffic's arrival")

    def versions(name: str, **more: Any) -> list[str]:
        found = []
        for user in range(20):
            row = {"label": f"u{user}", "C1": "x"}
            bodies: dict[str, tuple[str, dict[str, Any]]] = {
                "rows": ("/v1/models/ctr:predict", {"instances": [row]}),
                "columns": ("/v1/models/ctr:predict", {"inputs": {key: [value] for key, value in row.items()}}),
                "score": ("/v1/score", {"model": "ctr", "context": row, "candidates": [{}], **more}),
                "infer": (
                    "/v2/models/ctr/infer",
                    {"inputs": [{"name": k, "shape": [1], "datatype": "BYTES", "data": [v]} for k, v in row.items()]},
                ),
            }
            path, body = bodies[name]
            found.append(api.client.post(path, json=body).headers["x-model-version"])
        return found

    split = versions("rows")
    assert set(split) == {"1", "2"}
    assert versions("rows") == versions("columns") == versions("score") == versions("infer") == split
    assert set(versions("score", alias="latest")) == {"2"}
    assert set(versions("score", version=1)) == {"1"}

    def compared() -> Any:
        shadow = api.client.get("/v1/models/ctr/shadow").json()
        return shadow if sum(entry["rows"] for entry in shadow["comparisons"]) == 100 else None

    comparisons = wait_for(compared, "the shadow's comparisons")["comparisons"]
    assert {(entry["version"], entry["shadow_version"]) for entry in comparisons} == {(1, 1), (2, 1)}
    assert all(entry["mean_absolute_difference"] == 0 for entry in comparisons)
