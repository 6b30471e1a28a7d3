"""The OpenAPI document against the service: schemathesis makes requests from it, good and bad, and judges the answers.

No answer may be 5xx, have a status or a form that the document lacks, or differ from its schema.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.access import ALL_RIGHTS
from service.keys import KeyStore
from tests.service.conftest import Api, fill_data_root, publish, quick_settings
from tests.service.test_api_jobs import TRAIN

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
BOUNDS = hypothesis.settings(
    max_examples=4,
    stateful_step_count=6,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


@pytest.fixture(scope="module")
def make_described(
    tmp_path_factory: pytest.TempPathFactory, dataset: Path, raw_file: Path, bundle: Path
) -> Iterator[Any]:
    """Start APIs with a dataset and a model, and read their documents."""
    started: list[Api] = []

    def make(require_key: bool) -> Any:
        home = tmp_path_factory.mktemp("described") / "home"
        fill_data_root(home, dataset, raw_file)
        api = Api(quick_settings(home, require_key=require_key))
        started.append(api)
        api.services.datasets.register("small", home / "data" / "prepared")
        publish(api, bundle)
        key = KeyStore(api.services.database).create("all", rights=ALL_RIGHTS)
        headers = {"Accept": "application/json", **({"X-API-Key": key} if require_key else {})}
        api.client.headers.update(headers)
        schema = schemathesis.openapi.from_url(f"{api.url}/openapi.json", headers=headers)
        schema.config.headers = headers
        schema.config.request_timeout = 120  # the first page of a data report takes a while
        schema.config.generation.update(with_security_parameters=False)
        return schema.exclude(path_regex="/readyz$")  # readiness may well be a 503

    yield make
    for api in started:
        api.close()


@pytest.fixture(scope="module")
def for_local_callers(make_described: Any) -> Any:
    return make_described(require_key=False)


@pytest.fixture(scope="module")
def for_keys(make_described: Any) -> Any:
    return make_described(require_key=True)


def ask_all(schema: Any, mode: GenerationMode) -> int:
    """Send requests of one kind to every operation that has such; how many were sent."""
    sent = 0
    for result in schema.get_all_operations():
        operation = result.ok()

        @BOUNDS
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: schemathesis.Case) -> None:
            nonlocal sent
            case.call_and_validate(checks=CHECKS)
            sent += 1

        with contextlib.suppress(hypothesis.errors.Unsatisfiable):  # nothing can be wrong with `GET /v1/models`
            ask()
    return sent


@pytest.mark.parametrize("mode", [*GenerationMode])
def test_answers_without_a_key(for_local_callers: Any, mode: GenerationMode) -> None:
    assert ask_all(for_local_callers, mode) > 40


@pytest.mark.parametrize("mode", [*GenerationMode])
def test_answers_with_a_key(for_keys: Any, mode: GenerationMode) -> None:
    assert ask_all(for_keys, mode) > 40


def follow(schema: Any, settings: hypothesis.settings, body_of_jobs: Any = None) -> set[str]:
    """Go from answer to answer by links; the operations that were answered well.

    body_of_jobs: what submissions send; else what is generated, which hardly ever is a spec that can be run.
    """
    good: set[str] = set()
    failures: list[Exception] = []

    class Followed(schema.as_state_machine()):  # type: ignore[misc]
        def before_call(self, case: schemathesis.Case) -> None:
            case.query.pop("follow", None)  # a log that is followed ends with its job, and no worker runs here
            if body_of_jobs is not None and case.operation.label == "POST /v1/jobs":
                case.body = body_of_jobs

        def validate_response(self, response: Any, case: schemathesis.Case, **options: Any) -> None:
            try:
                case.validate_response(response, checks=CHECKS)
            except Exception as error:
                failures.append(error)
                raise
            if response.status_code < 300:
                good.add(case.operation.label)

    # The service remembers one example's jobs in the next: hypothesis may find its choices gone, and stops there.
    with contextlib.suppress(hypothesis.errors.FlakyStrategyDefinition):
        Followed.run(settings=settings)
    if failures:
        raise failures[0]
    return good


@pytest.mark.parametrize("callers", ["for_local_callers", "for_keys"])
def test_requests_that_follow_each_other(callers: str, request: pytest.FixtureRequest) -> None:
    assert len(follow(request.getfixturevalue(callers), hypothesis.settings(BOUNDS, max_examples=10))) > 2


@pytest.mark.parametrize("callers", ["for_local_callers", "for_keys"])
def test_a_job_is_followed_by_its_links(callers: str, request: pytest.FixtureRequest) -> None:
    schema = request.getfixturevalue(callers).include(
        path_regex="^/v1/jobs($|/{job_id}(/events|/cancel|/pause|/retry|$))"
    )
    body = {"kind": "train", "spec": TRAIN}
    good = follow(schema, hypothesis.settings(BOUNDS, max_examples=12, stateful_step_count=10), body)
    assert "POST /v1/jobs" in good
    assert len({label for label in good if "{job_id}" in label}) > 2, sorted(good)


def example_bodies(document: dict[str, Any], operation: dict[str, Any]) -> list[dict[str, Any]]:
    """The examples of a whole body, or one made of its members' examples."""
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    whole: list[dict[str, Any]] = [schema["example"]] if "example" in schema else schema.get("examples", [])
    members = {name: of["examples"][0] for name, of in schema.get("properties", {}).items() if "examples" in of}
    return whole or [members]


def test_every_body_has_an_example_that_is_accepted(api: Api, data_root: Path, bundle: Path) -> None:
    for name in ("criteo", "small"):
        api.services.datasets.register(name, data_root / "prepared")
    publish(api, bundle)
    document = api.client.get("/openapi.json").json()
    sent = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if "requestBody" in operation:
                url = path.format(name="ctr", alias="stable", version=1)
                if "labels" in path:
                    api.client.put("/v1/models/ctr/aliases/stable", json={"version": 1})
                for body in example_bodies(document, operation):
                    answer = api.client.request(method, url, json=body)
                    assert answer.status_code in (200, 202), (method, path, body, answer.text)
                    sent += 1
    assert sent >= 9


OPEN = {"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"}


def test_every_refusal_says_its_codes(api: Api) -> None:
    document = api.client.get("/openapi.json").json()
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            answers = operation["responses"]
            assert {"431", "500"} <= set(answers)
            assert all(answer["content"] == problem for status, answer in answers.items() if status >= "400")
            assert ("security" in operation) == ("401" in answers) == (path not in OPEN)
    refused = document["paths"]["/v1/jobs"]["post"]["responses"]
    assert {"400", "401", "403", "408", "409", "413", "422", "429", "431", "500", "503"} <= set(refused)
    assert "idempotency_conflict" in refused["422"]["description"]
    assert refused["429"]["description"].endswith("queue_full, too_many_requests")
