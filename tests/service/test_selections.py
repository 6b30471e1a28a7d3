"""Lists under every filter against a plain look at all jobs, on both databases; and the index that they go by."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.dialects import sqlite

from service.selections import page_of_jobs
from service.states import FINAL, Kind, State
from service.tables import Job, JobLabel
from service.wiring import Services

LABELS: list[dict[str, str]] = [{}, {"env": "prod"}, {"team": "a"}, {"env": "prod", "team": "b"}, {"team": "none"}]


def insert_jobs(services: Services, count: int) -> list[dict[str, Any]]:
    rng = random.Random(1)
    jobs = [
        {
            "id": f"{number:04x}",
            "kind": rng.choice([Kind.TRAIN, Kind.SCORE]),
            "state": rng.choice([State.QUEUED, State.RUNNING, State.SUCCEEDED, State.FAILED]),
            "spec": {},
            "project": rng.choice(["default", "default", "other"]),
            "fingerprint": "",
            "attempts_left": 1,
            "priority": rng.randrange(3),
            "labels": {"env": "prod", "team": rng.choice("ab")} if rng.random() < 0.8 else {"team": "a"},
            "created_at": 0.0,
        }
        for number in range(count)
    ]
    labels = [{"job_id": job["id"], "key": key, "value": value} for job in jobs for key, value in job["labels"].items()]
    with services.database.write() as session:
        session.execute(insert(Job), jobs)
        session.execute(insert(JobLabel), labels)
    return jobs


def test_every_filter_finds_what_a_look_at_all_jobs_finds(services: Services) -> None:
    made = insert_jobs(services, 80)
    found_some = 0
    states, kinds = (None, State.RUNNING, State.FAILED, State.PAUSED), (None, Kind.TRAIN)
    for project, state, kind, labels in itertools.product(("default", "other"), states, kinds, LABELS):
        expected = [
            job["id"]
            for job in reversed(made)
            if job["project"] == project
            and state in (None, job["state"])
            and kind in (None, job["kind"])
            and labels.items() <= job["labels"].items()
        ]
        found: list[str] = []
        cursor = None
        while True:
            page = services.jobs.of(project).page(state=state, kind=kind, labels=labels, limit=7, cursor=cursor)
            found += [job.id for job in page.jobs]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == expected, (project, state, kind, labels)
        found_some += bool(found)
    assert found_some > 40


def test_a_place_alone_is_that_among_others(services: Services) -> None:
    insert_jobs(services, 80)
    queued = services.jobs.page(state=State.QUEUED, kind=None, limit=200, cursor=None).jobs
    together = services.jobs.positions(queued)
    assert len(together) > 5
    assert together == {id_: place for job in queued for id_, place in services.jobs.positions([job]).items()}
    running = services.jobs.page(state=State.RUNNING, kind=None, limit=1, cursor=None).jobs
    assert services.jobs.positions(running) == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_few_jobs_are_found_without_a_walk_through_all(services: Services) -> None:
    for state, labels in itertools.product(State, LABELS):
        query, values = page_of_jobs("default", state, None, labels, None, None, 51)
        sql = str(query.params(values).compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
        with services.database.read() as session:
            first, *others = [row[3] for row in session.execute(text(f"EXPLAIN QUERY PLAN {sql}"))]
        leads = "ix_jobs_state" if state not in FINAL else "ix_job_labels_key" if labels else "ix_jobs_"
        assert leads in first
        assert not any("TEMP B-TREE" in step or "SCAN" in step for step in (first, *others))


def steps_of(services: Services, ask: Callable[[], object]) -> list[list[str]]:
    """The plans by which SQLite finds what is asked of a database."""
    asked: list[tuple[str, Any]] = []
    engine = services.database.engine

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    ask()
    event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        return [
            [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            for statement, parameters in asked
        ]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_look_for_lost_workers_walks_through_no_table(services: Services) -> None:
    insert_jobs(services, 80)
    plans = steps_of(services, services.leases.sweep)
    assert len(plans) >= 2
    assert not any("SCAN" in step for steps in plans for step in steps), plans


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_places_and_runs_are_counted_without_a_look_at_the_jobs(services: Services) -> None:
    insert_jobs(services, 80)
    queued = services.jobs.page(state=State.QUEUED, kind=None, limit=200, cursor=None).jobs
    sweep = services.jobs.enqueue(Kind.SWEEP, {}, children=[{}, {}])
    for ask in (
        lambda: services.jobs.positions(queued),
        lambda: services.jobs.positions(queued[:1]),
        lambda: services.jobs.children([sweep]),
    ):
        (steps,) = steps_of(services, ask)
        assert any("COVERING INDEX" in step for step in steps)
        of_jobs = [step for step in steps if "jobs" in step and "sqlite_autoindex" not in step]
        assert all("COVERING INDEX" in step for step in of_jobs), steps
        assert not any("TEMP B-TREE" in step for step in steps), steps


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_next_job_is_the_first_of_an_index(services: Services) -> None:
    insert_jobs(services, 80)
    look, *_ = steps_of(services, lambda: services.leases.claim("w"))
    assert len(look) == 1
    assert look[0].startswith("SEARCH jobs USING INDEX ix_jobs_state_waits_for_children_priority_id (state=? AND ")
