"""`ctrfast.client` against the real service, over good lines and bad ones: the two clients pass the same tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

import ctrfast.client.answers as mine
import service.answers as theirs
import service.job_answers as their_jobs
from ctrfast.client import AsyncClient, Client, JobFailedError, Patience, ProblemError, UnreachableError
from ctrfast.errors import DataError
from service.access import Right
from service.assignments import LOG
from service.keys import KeyStore
from service.states import FINAL, Kind
from tests.service.bad_line import BadLine
from tests.service.conftest import Api, publish, wait_for
from tests.service.test_api_jobs import TRAIN, registered, run_a_job  # noqa: F401 - a fixture
from tests.service.test_job_reports import end, ended_sweep

QUICK = Patience(retries=3, first_s=0.02, longest_s=1.0)
Make = Callable[..., Any]


class Awaited:
    """The async client, called as the other one is."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self._client = AsyncClient(*arguments, **options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        async def listed(*arguments: Any, **options: Any) -> list[Any]:
            return [event async for event in method(*arguments, **options)]

        return lambda *arguments, **options: self._runner.run(
            (listed if name == "events" else method)(*arguments, **options)
        )

    def close(self) -> None:
        self._runner.run(self._client.close())
        self._runner.close()


@pytest.fixture(params=[Client, Awaited], ids=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Make clients of one kind; they end with the test."""
    made: list[Any] = []

    def make(url: str, key: str | None = None, patience: Patience = QUICK) -> Any:
        made.append(request.param(url, key, patience=patience))
        return made[-1]

    yield make
    for client in made:
        client.close()


def line_to(api: Api, *cuts: int) -> BadLine:
    return BadLine(httpx.URL(api.url).port or 0, iter(cuts))


def test_a_job_from_its_submission_to_its_end(registered: Api, connect: Make) -> None:  # noqa: F811
    client = connect(registered.url)
    job = client.submit("train", TRAIN, priority=5, deadline_s=600.0, labels={"team": "ads"})
    assert (job.state, job.priority, job.labels, job.spec) == ("queued", 5, {"team": "ads"}, TRAIN)
    assert job.deadline_at is not None
    assert client.job(job) == client.job(job.id) == job
    client.submit("train", TRAIN)
    assert [found.id for found in client.jobs(labels={"team": "ads"}).jobs] == [job.id]
    page = client.jobs(limit=1)
    assert [found.id for found in client.jobs(cursor=page.next_cursor).jobs] == [job.id]
    assert client.pause(job).state == "paused"
    assert client.resume(job).state == "queued"
    assert client.cancel(job).state == "cancelled"
    with pytest.raises(ProblemError, match="cannot be cancelled") as caught:
        client.cancel(job)
    assert (caught.value.status, caught.value.code) == (409, "illegal_state")
    assert client.retry(job).state == "queued"
    client.cancel(job)
    assert client.wait(job).state == "cancelled"
    with pytest.raises(JobFailedError, match=f"{job.id} is cancelled"):
        client.wait(job, check=True)
    plan = client.plan(TRAIN)
    assert plan["plan"]["batch_size"] == 100


def test_a_refusal_names_the_field_and_the_request(registered: Api, connect: Make) -> None:  # noqa: F811
    with pytest.raises(ProblemError) as caught:
        connect(registered.url).submit("train", {**TRAIN, "batch_size": 0})
    error = caught.value
    assert (error.status, error.code, error.path) == (422, "bad_config", "spec.batch_size")
    assert error.request_id is not None
    for said in ("422 bad_config", "at spec.batch_size", f"request {error.request_id}", error.detail):
        assert said in error.message


def test_what_a_job_leaves(api: Api, connect: Make) -> None:
    job_id = run_a_job(api)
    client = connect(api.url)
    frame = client.metrics(job_id)
    assert frame["step"].tolist() == [1, 2, 3]
    assert frame["loss"].tolist() == [1, 1 / 2, 1 / 3]
    assert client.metrics(job_id, points=4).equals(frame)
    log = api.services.settings.job_folder(job_id) / LOG
    assert client.logs(job_id) == (log.read_text() if log.is_file() else "")
    events = list(client.events(job_id))
    assert [event.seq for event in events] == list(range(1, 10))
    assert list(client.events(job_id, after=7)) == events[7:]
    assert list(client.events(job_id, after=9)) == []
    assert client.wait(job_id, check=True).metrics == {"loss": 1 / 3, "test_auc": 0.8}
    with pytest.raises(ProblemError, match="no output"):
        client.output(job_id, "scores.parquet")


def test_a_sweeps_runs_are_a_frame(api: Api, data_root: Path, connect: Make) -> None:
    job_id = ended_sweep(api)
    client = connect(api.url)
    frame = client.sweep_table(job_id)
    report = client.report(job_id)
    assert frame["job"].tolist() == [run["job"] for run in report["runs"]]
    assert frame["metrics.test_auc"].tolist() == [run["metrics"]["test_auc"] for run in report["runs"]]
    assert frame["setting.scaling.rule"].tolist() == ["none"] * 4 + ["cowclip"] * 4
    assert frame["setting.batch_size"].max() == 1024
    api.services.datasets.register("small", data_root / "prepared")
    prepared = api.services.jobs.enqueue(Kind.PREPARE, {"name": "small"})
    end(api.services, prepared.id, {}, {"dataset": "small"})
    with pytest.raises(DataError, match="Call `report`"):
        client.sweep_table(prepared.id)


def test_models_and_scores(shared_api: Api, connect: Make) -> None:
    client = connect(shared_api.url)
    (model,) = client.models()
    assert model == client.model("ctr")
    assert (model.name, model.aliases, [of.version for of in model.versions]) == ("ctr", {"latest": 1}, [1])
    assert [found.name for found in client.datasets()] == ["small"]
    assert client.dataset("small").rows["train"] == 2400
    predicted = client.predict("ctr", [{"I1": 3}, {}])
    assert predicted == client.predict("ctr", [{"I1": 3}, {}], version=1)
    assert predicted == client.predict("ctr", [{"I1": 3}, {}], alias="latest")
    scores = client.score("ctr", [{"C3": "a"}, {}], context={"I1": 3})
    assert (scores.model, scores.version, len(scores.scores)) == ("ctr", 1, 2)
    assert scores.scores[1].probability == pytest.approx(predicted[0])
    assert scores.unseen["C3"] == 1
    with pytest.raises(ProblemError) as caught:
        client.predict("ctr", [{"I1": "x"}])
    assert caught.value.path == "instances[0].I1"


def test_why_a_score_is_what_it_is_and_who_answers(api: Api, bundle: Path, connect: Make) -> None:
    for _ in range(2):
        publish(api, bundle)
    client = connect(api.url)
    (explained,) = client.explain("ctr", [{"I1": 3}], pairs=0, version=1)["rows"]
    assert explained["probability"] == pytest.approx(client.predict("ctr", [{"I1": 3}], version=1)[0], abs=1e-6)
    assert len(explained["fields"]) == 39
    assert explained["pairs"] == []
    seen = client.drift("ctr", version=1)
    assert (seen["version"], seen["rows"], len(seen["fields"])) == (1, 1, 39)
    client.set_alias("ctr", "next", 1)
    settings = {"split": None, "shadow": {"alias": "next", "share": 1.0}}
    assert client.set_traffic("ctr", shadow=settings["shadow"]) == settings
    client.predict("ctr", [{"I1": 3}, {}])
    compared = wait_for(lambda: client.shadow("ctr")["comparisons"], "the comparison")
    assert [(of["version"], of["shadow_version"], of["rows"]) for of in compared] == [(2, 1, 2)]
    assert client.set_traffic("ctr") == {"split": None, "shadow": None}


def test_how_a_version_is_calibrated_and_what_the_paper_reached(api: Api, bundle: Path, connect: Make) -> None:
    publish(api, bundle)
    client = connect(api.url)
    found = client.calibration("ctr", 1)
    assert found == api.client.get("/v1/models/ctr/versions/1/calibration").json()
    assert (found["model"], found["version"], found["before"]) == ("ctr", 1, [])
    with pytest.raises(ProblemError) as caught:
        client.calibration("ctr", 2)
    assert (caught.value.status, caught.value.code) == (404, "not_found")
    tables = client.published_results()["tables"]
    criteo = next(table for table in tables if (table["preset"], table["network"]) == ("criteo", "deepfm"))
    assert criteo["auc"]["131072"] == pytest.approx(0.8090)


def test_an_alias(api: Api, bundle: Path, connect: Make) -> None:
    publish(api, bundle)
    client = connect(api.url)
    assert client.set_alias("ctr", "stable", 1) == {"model": "ctr", "alias": "stable", "version": 1}
    assert client.model("ctr").aliases == {"latest": 1, "stable": 1}
    with pytest.raises(ProblemError, match="no version 2"):
        client.set_alias("ctr", "stable", 2)


def test_a_dataset_by_path_and_by_a_job(registered: Api, connect: Make) -> None:  # noqa: F811
    client = connect(registered.url)
    assert client.register("again", "prepared").hash == client.dataset("small").hash
    job = client.prepare("fresh", {"raw": ["clicks.tsv.gz"], "preset": "criteo"})
    assert (job.kind, job.state, job.spec["name"]) == ("prepare", "queued", "fresh")


def test_a_key(make_api: Callable[..., Api], connect: Make) -> None:
    api = make_api(require_key=True)
    key = KeyStore(api.services.database).create("reader", rights=[Right.JOBS_READ])
    assert connect(api.url, key).jobs().jobs == ()
    with pytest.raises(ProblemError) as caught:
        connect(api.url).jobs()
    assert (caught.value.status, caught.value.code) == (401, "unauthorized")
    with pytest.raises(ProblemError, match="`jobs:write`"):
        connect(api.url, key).submit("train", TRAIN)


def test_a_submission_whose_answer_is_lost_is_one_job(registered: Api, connect: Make) -> None:  # noqa: F811
    line = line_to(registered, 0, 20)
    job = connect(line.url).submit("train", TRAIN)
    assert line.connections == 3  # the service made the job at the first
    assert [found.id for found in connect(registered.url).jobs().jobs] == [job.id]
    line.close()


def test_an_action_whose_answer_is_lost_is_not_sent_again(registered: Api, connect: Make) -> None:  # noqa: F811
    good = connect(registered.url)
    job = good.submit("train", TRAIN)
    line = line_to(registered, 0)
    with pytest.raises(UnreachableError, match="does not answer"):
        connect(line.url).pause(job)
    assert line.connections == 1
    assert good.job(job).state == "paused"
    line.close()


def test_events_over_a_line_that_breaks(api: Api, connect: Make) -> None:
    job_id = run_a_job(api)
    whole = [event.seq for event in connect(api.url).events(job_id)]
    line = line_to(api, 900, 0, 1000, 1100)
    assert [event.seq for event in connect(line.url).events(job_id)] == whole
    assert line.connections >= 4
    line.close()


def test_nobody_there(connect: Make, unused_port: int) -> None:
    client = connect(f"http://127.0.0.1:{unused_port}")
    for ask in (client.jobs, lambda: client.cancel("x"), lambda: list(client.events("x")), lambda: client.wait("x")):
        with pytest.raises(UnreachableError, match=f"http://127.0.0.1:{unused_port}"):
            ask()


@pytest.fixture
def unused_port() -> Iterator[int]:
    line = BadLine(0, iter(()))
    port = httpx.URL(line.url).port
    line.close()
    assert port is not None
    yield port


def test_a_busy_service_is_asked_again_after_the_time_that_it_names(
    make_api: Callable[..., Api], connect: Make
) -> None:
    client = connect(make_api(rate_per_s=2).url, patience=Patience(retries=3, first_s=0.02, longest_s=5))
    assert [client.jobs().jobs for _ in range(4)] == [()] * 4
    hasty = connect(make_api(rate_per_s=0.01).url, patience=Patience(retries=3, first_s=0.02, longest_s=1))
    hasty.jobs()
    with pytest.raises(ProblemError) as caught:
        hasty.jobs()
    assert (caught.value.status, caught.value.code) == (429, "too_many_requests")


@pytest.mark.parametrize(
    ("own", "public"),
    [
        (mine.Job, their_jobs.JobPublic),
        (mine.JobPage, their_jobs.JobList),
        (mine.Dataset, theirs.DatasetPublic),
        (mine.Model, theirs.ModelPublic),
        (mine.ModelVersion, theirs.VersionPublic),
    ],
)
def test_the_answers_are_the_services(own: type[BaseModel], public: type[BaseModel]) -> None:
    assert set(own.model_fields) <= set(public.model_fields)
    assert frozenset(FINAL) == mine.FINAL_STATES
