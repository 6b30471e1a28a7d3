"""Long metric series are read by their summaries: exact within stretches, against all values, on both databases."""

from __future__ import annotations

import random
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from service.leases import Lease, Report
from service.metric_summaries import SIZES
from service.retention import remove_old_events
from service.series import PLACE, Part, kept_places, summarise, thin
from service.states import Kind
from service.tables import Event, Job, MetricSummary
from service.wiring import Services
from tests.service.conftest import Api
from tests.service.test_api_jobs import problem
from tests.service.test_leases import claim

PER_REPORT = 150


def record(rng: random.Random, step: int) -> dict[str, Any]:
    made: dict[str, Any] = {"epoch": step // 1000, "step": step, "loss": rng.random()}
    if step % 7 == 0:
        made["rows_per_s"] = float(rng.randrange(5))  # equal ones: the earliest stays
    if step % 500 == 0:
        made["valid_auc"] = rng.choice([None, rng.random()])
    if 100 <= step < 130:
        made["burst"] = rng.random()  # few, and close together
    return made


def long_job(services: Services, count: int) -> tuple[Lease, list[dict[str, Any]]]:
    """A running job whose worker has told so many records, with lines and progress between them."""
    services.jobs.enqueue(Kind.TRAIN, {})
    lease = claim(services)
    rng = random.Random(count)
    records = [record(rng, step) for step in range(1, count + 1)]
    for start in range(0, count, PER_REPORT):
        services.leases.renew(lease, Report(progress=0.5, records=records[start : start + PER_REPORT], lines=["x"]))
    return lease, records


def rows_of(services: Services, job_id: str) -> dict[int, int]:
    """How many summaries there are of each level."""
    query = select(MetricSummary.level, func.count()).where(MetricSummary.job_id == job_id)
    with services.database.read() as session:
        return {level: count for level, count in session.execute(query.group_by(MetricSummary.level))}  # noqa: C416


def values_of(records: list[dict[str, Any]], name: str) -> list[tuple[int, float | None]]:
    return [(record["step"], record[name]) for record in records if name in record]


def check(series: list[dict[str, Any]], records: list[dict[str, Any]], names: set[str], points: int) -> None:
    """What the docstring of `service.series` promises, of every metric."""
    assert {name for record in series for name in record} - set(PLACE) == names
    assert [record["step"] for record in series] == sorted(record["step"] for record in series)
    for name in names:
        all_values, seen = values_of(records, name), values_of(series, name)
        assert set(seen) <= set(all_values)
        if len(all_values) <= points:
            assert seen == all_values
            continue
        assert len(seen) <= points
        assert (seen[0], seen[-1]) == (all_values[0], all_values[-1])
        # Stretches are no longer than two of equal number: over any such window the extremes are there.
        window = 2 * len(all_values) // (points // 4) + 1
        for start in range(0, len(all_values) - 2 * window, window):
            numbers = [value for _, value in all_values[start : start + window] if value is not None]
            near = [
                value
                for step, value in seen
                if all_values[max(0, start - window)][0] <= step <= all_values[start + 2 * window - 1][0]
                and value is not None
            ]
            if numbers:
                assert min(near) <= min(numbers)
                assert max(near) >= max(numbers)


def test_a_long_series_is_read_by_its_summaries(services: Services) -> None:
    lease, records = long_job(services, 6000)
    total = services.jobs.newest_events([lease.job_id])[lease.job_id]
    assert rows_of(services, lease.job_id) == {level: total // SIZES[level] for level in (0, 1, 2, 3)}
    names = {"loss", "rows_per_s", "valid_auc", "burst"}
    for points in (4, 40, 100, 600):
        series, last_seq = services.jobs.thinned_series(lease.job_id, 0, None, points)
        assert last_seq == total
        check(series, records, names, points)
    only, _ = services.jobs.thinned_series(lease.job_id, 0, {"loss"}, 40)
    check(only, records, {"loss"}, 40)
    assert services.jobs.thinned_series(lease.job_id, 0, {"none"}, 40)[0] == []
    # As many points as there are values, or nearly: nothing of it is thinned out beforehand.
    assert services.jobs.thinned_series(lease.job_id, 0, None, 6000)[0] == records
    exact = [values_of(thin(records, {"loss"}, 5000), "loss")]
    assert [values_of(services.jobs.thinned_series(lease.job_id, 0, {"loss"}, 5000)[0], "loss")] == exact


def test_it_does_not_read_the_events_again(services: Services) -> None:
    lease, _ = long_job(services, 6000)
    asked = (lease.job_id, 0, {"loss"}, 40)
    before = services.jobs.thinned_series(*asked)
    with services.database.write() as session:
        session.execute(delete(Event).where(Event.job_id == lease.job_id, Event.seq.between(65, 5888)))
    assert services.jobs.thinned_series(*asked) == before


def test_it_begins_where_it_is_asked_to(services: Services) -> None:
    lease, _ = long_job(services, 6000)
    for after in (1, 63, 64, 65, 3000, 6000):
        records, last_seq = services.jobs.metric_series(lease.job_id, after)
        names = {name for record in records for name in record} - set(PLACE)
        series, thinned_last = services.jobs.thinned_series(lease.job_id, after, None, 40)
        assert thinned_last == last_seq
        check(series, records, names, 40)


def test_a_job_from_before_there_were_summaries(services: Services) -> None:
    lease, records = long_job(services, 5000)
    whole = thin(records, None, 40)
    with services.database.write() as session:
        session.execute(delete(MetricSummary))
    assert services.jobs.thinned_series(lease.job_id, 0, None, 40)[0] == whole
    # They are written on with its next records, some thousand events at a time.
    rng = random.Random(0)
    for step in range(5001, 5400):
        records.append(record(rng, step))
        services.leases.renew(lease, Report(records=[records[-1]]))
    total = services.jobs.newest_events([lease.job_id])[lease.job_id]
    assert rows_of(services, lease.job_id)[0] == total // SIZES[0]
    check(
        services.jobs.thinned_series(lease.job_id, 0, None, 40)[0],
        records,
        {"loss", "rows_per_s", "valid_auc", "burst"},
        40,
    )


def test_they_leave_with_their_events(services: Services) -> None:
    lease, _ = long_job(services, 500)
    other, kept = long_job(services, 500)
    services.leases.succeed(lease, {}, lambda _: {})
    with services.database.write() as session:
        job = session.get(Job, lease.job_id)
        assert job is not None
        job.finished_at = 1.0
    assert remove_old_events(services.database, 1, batch=100) > 500
    assert rows_of(services, lease.job_id) == {}
    check(
        services.jobs.thinned_series(other.job_id, 0, {"loss"}, 40)[0],
        kept,
        {"loss"},
        40,
    )
    # A job that goes on after them has summaries of its new events alone.
    end = services.jobs.newest_events([lease.job_id])[lease.job_id]
    with services.database.write() as session:
        job = session.get(Job, lease.job_id)
        assert job is not None
        job.state = "queued"
    again = claim(services)
    assert again.job_id == lease.job_id
    rng = random.Random(1)
    more = [record(rng, step) for step in range(501, 1001)]
    services.leases.renew(again, Report(records=more))
    check(services.jobs.thinned_series(lease.job_id, end, {"loss"}, 40)[0], more, {"loss"}, 40)


def test_the_route(api: Api) -> None:
    lease, records = long_job(api.services, 3000)
    url = f"/v1/jobs/{lease.job_id}/metrics"
    answer = api.client.get(url, params={"points": 100, "names": "loss,valid_auc"}).json()
    check(answer["series"], records, {"loss", "valid_auc"}, 100)
    assert api.client.get(url).json()["series"] == records
    with api.services.database.write() as session:
        session.execute(delete(Event).where(Event.job_id == lease.job_id, Event.seq <= 70))
    problem(api.client.get(url, params={"points": 100}), 410, "events_expired")
    rest = api.client.get(url, params={"points": 100, "names": "loss", "after": 70}).json()["series"]
    left = api.services.jobs.metric_series(lease.job_id, 70)[0]
    check(rest, left, {"loss"}, 100)


@pytest.mark.parametrize("seed", range(30))
def test_summaries_of_summaries_are_those_of_the_values(seed: int) -> None:
    rng = random.Random(seed)
    records = [{"step": step, "v": rng.choice([None, rng.randrange(4), rng.random()])} for step in range(200)]
    parts = [Part(records[start : start + 10]) for start in range(0, 200, 10)]
    below = [summarise([part]) for part in parts]
    above = [summarise(below[start : start + 4]) for start in range(0, 20, 4)]
    for number, part in enumerate(above):
        own = records[number * 40 : number * 40 + 40]
        values = [record["v"] for record in own]
        kept = [record["step"] - own[0]["step"] for record in part.records]
        assert set(kept_places(values, 4)) <= set(kept)
        assert len(kept) <= 4
        assert part.count("v") == 40
