"""A list of jobs says of each what its own route says, to the byte, and what the document of the API says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.job_answers import JobList, JobPublic
from service.leases import Report
from service.options import JobOptions, Webhook
from service.states import Kind, Reason, State
from tests.service.conftest import Api
from tests.service.test_leases import claim


def jobs_of_all_kinds(api: Api) -> None:
    """Jobs in every state, and with every field of an answer filled in one of them."""
    jobs, leases = api.services.jobs, api.services.leases
    done = jobs.enqueue(Kind.TRAIN, {"dataset": "größe", "seed": 1.5}, options=JobOptions(labels={"team": "ads"}))
    lease = claim(api.services)
    leases.renew(lease, Report(progress=0.5, eta_s=12.25, metrics={"valid_auc": 0.75, "tiny": 1e-7, "whole": 3.0}))
    leases.succeed(lease, {"test_auc": 0.8125}, lambda _: {"outputs": ["scores.parquet"]})
    assert jobs.get(done.id).state == State.SUCCEEDED
    jobs.enqueue(Kind.SCORE, {"model": "none"})
    leases.fail(claim(api.services), Reason.BAD_DATA, "Row 7 of the file has no label.")
    for end in (None, jobs.pause, jobs.cancel):
        job = jobs.enqueue(Kind.TRAIN, {})
        leases.renew(claim(api.services), Report(progress=0.25, eta_s=3.5))
        if end is not None:
            end(job.id)
    jobs.pause(jobs.enqueue(Kind.TRAIN, {}).id)
    jobs.cancel(jobs.enqueue(Kind.TRAIN, {}).id)
    retried = jobs.enqueue(Kind.TRAIN, {}, options=JobOptions(priority=9))
    leases.fail(claim(api.services), Reason.STORAGE, "The disk is full.")
    assert jobs.get(retried.id).not_before > 0
    jobs.enqueue(Kind.SWEEP, {"grid": {"seed": [1, 2]}}, children=[{"seed": 1}, {"seed": 2}])
    hook = Webhook(url="http://127.0.0.1:9/", events=("state",))
    jobs.enqueue(Kind.TRAIN, {}, options=JobOptions(priority=-1, deadline_s=600.0, webhook=hook))


def test_each_job_of_a_list_reads_as_alone(make_api: Callable[..., Api], database_url: str) -> None:
    api = make_api(database_url=database_url, retry_first_s=60.0)
    jobs_of_all_kinds(api)
    answer = api.client.get("/v1/jobs")
    listed = answer.json()["jobs"]
    assert {job["state"] for job in listed} == set(State)
    seen_empty = {name for job in listed for name, value in job.items() if value in (None, {})}
    seen_filled = {name for job in listed for name, value in job.items() if value not in (None, {})}
    assert seen_filled == set(listed[0])
    assert seen_empty >= {"reason", "position", "children", "parent", "metrics"}
    alone = [api.client.get(f"/v1/jobs/{job['id']}").content for job in listed]
    assert answer.content == b'{"jobs":[' + b",".join(alone) + b'],"next_cursor":null}'
    assert answer.content == JobList.model_validate_json(answer.content).model_dump_json().encode()
    rows = [api.services.jobs.get(job["id"]) for job in listed]
    positions, children = api.services.jobs.positions(rows), api.services.jobs.children(rows)
    assert alone == [JobPublic.of(row, positions, children).model_dump_json().encode() for row in rows]


def test_pages_join_to_the_whole_list(make_api: Callable[..., Api], database_url: str) -> None:
    api = make_api(database_url=database_url)
    for number in range(5):
        api.services.jobs.enqueue(Kind.TRAIN, {"seed": number})
    whole = api.client.get("/v1/jobs").json()["jobs"]
    for limit in (2, 5):
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = api.client.get("/v1/jobs", params={"limit": limit, **cursor}).json()
            found += page["jobs"]
            if page["next_cursor"] is None:
                break
            assert page["next_cursor"] == page["jobs"][-1]["id"]
            assert len(page["jobs"]) == limit
            cursor = {"cursor": page["next_cursor"]}
        assert found == whole


def test_a_page_of_much_alike_jobs_leaves_compressed(make_api: Callable[..., Api]) -> None:
    api = make_api()
    specs = [{"dataset": "clicks", "batch_size": 1024, "seed": seed} for seed in range(200)]
    sweep = api.services.jobs.enqueue(Kind.SWEEP, {"base": {}, "grid": {"seed": [*range(200)]}}, children=specs)
    path = f"/v1/jobs?parent={sweep.id}&limit=200"
    answer = api.client.get(path)
    as_it_is = api.client.get(path, headers={"Accept-Encoding": "identity"})
    assert answer.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in as_it_is.headers
    assert answer.json() == as_it_is.json()
    assert len(answer.json()["jobs"]) == 200
    assert int(answer.headers["content-length"]) < len(as_it_is.content) / 8
