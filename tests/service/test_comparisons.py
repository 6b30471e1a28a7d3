"""`GET /v1/jobs/{id}/comparison`: real run folders, compared by the API without TensorFlow."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctrfast.client import Client
from ctrfast.comparison import ComparedRun, Comparison, compare_runs
from ctrfast.config import parse_config
from ctrfast.data.shards import Dataset
from ctrfast.folders import file_hash
from ctrfast.run import Run
from ctrfast.store.address import Address
from ctrfast.store.artefacts import publish as put_in_store
from ctrfast.store.artefacts import remove
from ctrfast.store.objects import Objects
from ctrfast.train import train
from service.assignments import RUN, run_of
from service.problems import NotReadyError
from service.states import Kind
from tests.service.conftest import Api
from tests.service.test_api_jobs import problem
from tests.service.test_job_reports import end
from tests.store.conftest import server, store  # noqa: F401 - fixtures


@pytest.fixture(scope="module")
def other_run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the bundle's run, and with rates that learn something."""
    out = tmp_path_factory.mktemp("other") / "run"
    rates = {"lr_dense": 0.02, "lr_embed": 0.02}
    model = {"hidden": [8], "embedding_dim": 4}
    train(
        Dataset.open(dataset), parse_config({"batch_size": 500, "epochs": 2, "model": model, "optimizer": rates}), out
    )
    return out


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    return make_api(lease_s=30.0)


def trained(api: Api, run: Path | None) -> str:
    """A train job that has succeeded; its run is where this server keeps runs, unless there is none."""
    job = api.services.jobs.enqueue(Kind.TRAIN, {"dataset": "d"})
    end(api.services, job.id, {})
    place = run_of(api.services.settings, job.id)
    if run is not None and isinstance(place, Path):
        shutil.copytree(run, place)
    elif run is not None:
        put_in_store(run, place)
    return job.id


def expected_of(first: str, first_run: Path, second: str, second_run: Path) -> dict[str, Any]:
    """What the library says of the two run folders."""
    runs = [ComparedRun.of(Run.open(run), name) for run, name in ((first_run, first), (second_run, second))]
    return Comparison.model_validate_json(compare_runs(runs).model_dump_json()).model_dump()


def test_two_trainings(api: Api, bundle: Path, other_run: Path) -> None:
    first_run = bundle.parent / "run"
    first, second = trained(api, first_run), trained(api, other_run)
    answer = api.client.get(f"/v1/jobs/{first}/comparison", params={"with": second})
    assert answer.status_code == 200, answer.text
    told = Comparison.model_validate_json(answer.content)
    assert told.model_dump() == expected_of(first, first_run, second, other_run)
    assert [run.run for run in told.runs] == [first, second]
    assert {(row.name, *row.values) for row in told.settings} >= {("epochs", 1, 2), ("optimizer.lr_dense", None, 0.02)}
    assert any(of.figure == "auc" and of.paired for of in told.differences)
    with Client(api.url) as client:
        assert client.comparison(first, second) == answer.json()


def test_trainings_whose_runs_are_in_the_object_store(
    make_api: Callable[..., Api],
    store: str,  # noqa: F811
    bundle: Path,
    other_run: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api, first_run = make_api(artifacts=f"{store}/service"), bundle.parent / "run"
    first, second, gone = trained(api, first_run), trained(api, other_run), trained(api, None)
    assert not list(api.services.settings.home_dir.rglob("receipt.json"))
    downloads: list[str] = []
    real = Objects.download
    monkeypatch.setattr(
        Objects, "download", lambda self, address, file: (downloads.append(address.name), real(self, address, file))[1]
    )
    answer = api.client.get(f"/v1/jobs/{first}/comparison", params={"with": second})
    assert answer.status_code == 200, answer.text
    told = Comparison.model_validate_json(answer.content)
    assert told.model_dump() == expected_of(first, first_run, second, other_run)
    weights = {file_hash(file) for run in (first_run, other_run) for file in run.glob("checkpoints/*/*")}
    assert downloads
    assert not weights & set(downloads)  # what may be gigabytes stays where it is

    problem(api.client.get(f"/v1/jobs/{first}/comparison", params={"with": gone}), 404, "not_found")
    place = run_of(api.services.settings, second)
    assert isinstance(place, Address)
    remove(place)
    refused = api.client.get(f"/v1/jobs/{first}/comparison", params={"with": second})
    problem(refused, 404, "not_found")
    assert "s3://" not in refused.text


def test_refusals(api: Api, bundle: Path) -> None:
    run = bundle.parent / "run"
    first, away = trained(api, run), trained(api, None)

    def ask(job_id: str, others: str, *expected: Any) -> None:
        problem(api.client.get(f"/v1/jobs/{job_id}/comparison", params={"with": others}), *expected)

    ask(first, "nope", 404, "not_found")
    ask("nope", first, 404, "not_found")
    ask(first, f"{first},a b", 404, "not_found")
    ask(first, first, 422, "bad_config", "runs")
    ask(first, ",".join(map(str, range(60))), 422, "bad_config", "runs")
    ask(first, away, 404, "not_found")
    problem(api.client.get(f"/v1/jobs/{first}/comparison"), 422, "bad_request", "with")
    waiting = api.services.jobs.enqueue(Kind.TRAIN, {"dataset": "d"})
    ask(first, waiting.id, 409, "illegal_state")
    scoring = api.services.jobs.enqueue(Kind.SCORE, {})
    ask(first, scoring.id, 422, "bad_request")
    (api.services.settings.job_folder(first) / RUN / "receipt.json").write_text("{")
    ask(first, trained_copy(api, run), 404, "not_found")


def trained_copy(api: Api, run: Path) -> str:
    for job in api.services.jobs.page(state=None, kind=None, limit=10, cursor=None).jobs:
        if job.state == "queued":
            api.services.jobs.cancel(job.id)
    return trained(api, run)


def test_one_comparison_at_a_time(api: Api, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = bundle.parent / "run"
    first, second = trained(api, run), trained(api, run)
    monkeypatch.setattr("service.one_at_a_time.WAIT_S", 0.05)
    comparisons = api.services.comparisons
    with comparisons._turns.turn(), pytest.raises(NotReadyError):
        comparisons.of("default").compare([first, second])
    told = comparisons.compare([first, second])
    assert told.verdicts[0].startswith("No difference in test AUC can be told")
