"""News of many jobs in two queries: what each job's own reading gives, or a sign that this must be asked."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import delete, event

from service.events import MOST_NEWS, EventPage, Place
from service.leases import Report
from service.states import Kind
from service.tables import Event
from service.wiring import Services
from tests.service.test_leases import claim


@contextmanager
def on_each_statement(services: Services, note: Any) -> Iterator[None]:
    """Have `note(statement)` called before each statement that reads from a table."""

    def listen(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM" in statement:
            note(statement)

    event.listen(services.database.engine, "before_cursor_execute", listen)
    try:
        yield
    finally:
        event.remove(services.database.engine, "before_cursor_execute", listen)


def told(page: EventPage) -> tuple[list[tuple[int, str, dict[str, Any], float]], bool]:
    return [(row.seq, row.type, row.data, row.at) for row in page.events], page.finished


def running_job(services: Services, lines: int) -> str:
    """With three events and so many lines."""
    job_id = services.jobs.enqueue(Kind.TRAIN, {}).id
    lease = claim(services)
    assert lease.job_id == job_id
    services.leases.renew(lease, Report(progress=0.5, lines=[f"line {number}" for number in range(lines)]))
    return job_id


def test_news_are_what_a_jobs_own_reading_gives(services: Services) -> None:
    few, many, removed = (running_job(services, lines) for lines in (2, MOST_NEWS, 2))
    ended = services.jobs.enqueue(Kind.TRAIN, {}).id
    services.jobs.cancel(ended)
    with services.database.write() as session:
        session.execute(delete(Event).where(Event.job_id == removed, Event.seq <= 3))
    last = services.jobs.newest_events([few, many, removed, ended])
    assert last == {few: 5, many: 3 + MOST_NEWS, removed: 5, ended: 2}
    places = [(job_id, after) for job_id, newest in last.items() for after in range(newest + 3)]
    news = services.jobs.news([*places, ("gone", 0)])
    assert news.pop(("gone", 0)) is None
    for job_id, after in places:
        page = news.pop((job_id, after), EventPage([], finished=False))
        behind = last[job_id] - after
        if behind == 0:
            assert page == EventPage([], finished=False)
        elif behind < 0 or behind > MOST_NEWS or (job_id == removed and after < 3):
            assert page is None
        else:
            assert page is not None
            assert told(page) == told(services.jobs.events(job_id, after))
            assert page.finished is (job_id == ended)
    assert news == {}


def test_a_look_costs_two_queries_at_most(services: Services) -> None:
    jobs = [running_job(services, 1) for _ in range(20)]
    asked: list[str] = []
    with on_each_statement(services, asked.append):
        services.jobs.news([(job_id, 4) for job_id in jobs])
        assert len(asked) == 1  # nothing has happened
        news = services.jobs.news([(job_id, after) for job_id in jobs for after in (1, 2, 3)])
    assert len(asked) == 3
    assert {place: len(page.events) for place, page in news.items() if page is not None} == {
        (job_id, after): 4 - after for job_id in jobs for after in (1, 2, 3)
    }


def rows_read(services: Services, places: Collection[Place]) -> tuple[int, dict[Place, EventPage | None]]:
    """How many events a look reads, by asking again what it asked; and what it finds."""
    asked: list[tuple[str, Any]] = []

    def listen(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FROM events" in statement:
            asked.append((statement, parameters))

    engine = services.database.engine
    event.listen(engine, "before_cursor_execute", listen)
    news = services.jobs.news(places)
    event.remove(engine, "before_cursor_execute", listen)
    with engine.connect() as connection:
        rows = sum(len(connection.exec_driver_sql(*one).all()) for one in asked)
    return rows, news


def test_a_reader_that_lags_has_no_more_read_for_the_others(services: Services) -> None:
    jobs = [running_job(services, MOST_NEWS) for _ in range(10)]
    last = 3 + MOST_NEWS
    keep_up: list[Place] = [(job_id, last - 1) for job_id in jobs]
    assert rows_read(services, keep_up)[0] == len(jobs)
    lags: list[Place] = [(jobs[0], last - MOST_NEWS), (jobs[1], last - 2), (jobs[1], 0)]  # the last reads for itself
    rows, news = rows_read(services, [*keep_up, *lags])
    assert rows == MOST_NEWS + 2 + len(jobs[2:])
    assert news.pop((jobs[1], 0)) is None
    for (job_id, after), page in news.items():
        assert page is not None
        assert told(page) == told(services.jobs.events(job_id, after))
    assert set(news) == {*keep_up, *lags[:2]}


def test_no_event_is_left_out_where_one_comes_between_the_queries(services: Services) -> None:
    job_id = services.jobs.enqueue(Kind.TRAIN, {}).id
    lease = claim(services)
    reports = [Report(lines=["one", "two", "three"])]

    def write(statement: str) -> None:
        if "events" in statement and reports:
            services.leases.renew(lease, reports.pop())

    with on_each_statement(services, write):
        page = services.jobs.news([(job_id, 1)])[job_id, 1]
    assert not reports
    if services.database.is_sqlite:  # one snapshot
        assert page is not None
        assert [row.seq for row in page.events] == [2]
    else:  # the second query sees what came, and the last of it alone is not what follows
        assert page is None


@pytest.mark.parametrize("reads", ["news", "events"])
def test_a_jobs_last_event_is_never_told_without_its_end(services: Services, reads: str) -> None:
    """Else a stream would wait for good: the job stands where the stream is."""
    job_id = services.jobs.enqueue(Kind.TRAIN, {}).id
    ends = [claim(services)]
    services.leases.renew(ends[0], Report(lines=["one"]))
    after = services.jobs.newest_events([job_id])[job_id] - 1

    def write(statement: str) -> None:
        if "events" in statement and ends:
            services.leases.succeed(ends.pop(), {}, lambda _: {})

    with on_each_statement(services, write):
        if reads == "news":
            page = services.jobs.news([(job_id, after), (job_id, after - 1)])[job_id, after]
        else:
            page = services.jobs.events(job_id, after)
    assert not ends
    assert page is not None
    assert [row.type for row in page.events] == ["log"]
    assert not page.finished
    page = services.jobs.news([(job_id, after + 1)])[job_id, after + 1]
    assert page is not None
    assert page.events[-1].data["state"] == "succeeded"
    assert page.finished
