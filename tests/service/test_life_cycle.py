"""A job's life against a model of a few lines: whatever callers, workers and clocks do, in any order, both agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete

from service.database import Database
from service.jobs import JobStore
from service.leases import SWEEP_MARGIN_S, Lease, LeaseLostError, LeaseStore
from service.options import JobOptions
from service.problems import IllegalStateError
from service.states import FINAL, RETRIED, TRANSITIONS, Kind, Reason, State
from service.tables import Job
from tests.service.conftest import quick_settings

LEASE_S, ATTEMPTS, FIRST_S, MOST_S, QUOTA = 10.0, 3, 4.0, 6.0, 2


@dataclass
class Model:
    """What a job should be."""

    job_id: str
    owner: str
    priority: int
    deadline_s: float | None
    deadline_at: float
    seen: set[tuple[State, State]]
    state: State = State.QUEUED
    pausing: bool = False
    reason: Reason | None = None
    attempt: int = 0
    left: int = ATTEMPTS
    not_before: float = 0.0
    lease_until: float = 0.0

    def go(self, state: State, reason: Reason | None = None) -> None:
        self.seen.add((self.state, state))
        self.state, self.reason, self.pausing = state, reason, False

    def is_overdue(self, now: float) -> bool:
        return now >= self.deadline_at

    def go_wrong(self, reason: Reason, now: float) -> None:
        if self.state == State.CANCELLING:
            self.go(State.CANCELLED)
        elif reason not in RETRIED:
            self.go(State.FAILED, reason)
        elif self.is_overdue(now):
            self.go(State.FAILED, Reason.DEADLINE)
        elif self.left == 0:
            self.go(State.FAILED, reason)
        elif self.pausing:
            self.go(State.PAUSED)
        else:
            self.go(State.QUEUED)
            self.not_before = now + {1: 4.0, 2: 6.0}[ATTEMPTS - self.left]


class LifeCycle(RuleBasedStateMachine):
    """The store and the model, under one clock."""

    def __init__(self, database: Database, home: Path, seen: set[tuple[State, State]]) -> None:
        super().__init__()
        self.seen = seen
        self.now = 1000.0
        limits = {"max_attempts": ATTEMPTS, "retry_first_s": FIRST_S, "retry_most_s": MOST_S}
        chosen = quick_settings(home, lease_s=LEASE_S, max_running_per_key=QUOTA, **limits)
        self.jobs = JobStore(database, chosen, lambda: self.now)
        self.leases = LeaseStore(database, chosen, lambda: self.now)
        self.models: list[Model] = []
        self.given: list[Lease] = []
        with database.write() as session:
            session.execute(delete(Job))

    def some(self, data: st.DataObject) -> Model:
        return data.draw(st.sampled_from(self.models), "job")

    def held(self, data: st.DataObject) -> tuple[Lease, Model, bool]:
        """One of the newest leases, its job, and whether it still counts."""
        lease = data.draw(st.sampled_from(self.given[-3:]), "lease")
        model = next(model for model in self.models if model.job_id == lease.job_id)
        holds = model.state in {State.RUNNING, State.CANCELLING} and model.attempt == lease.attempt
        return lease, model, holds and self.now <= model.lease_until

    @precondition(lambda self: len(self.models) < 4)
    @rule(owner=st.sampled_from("ab"), priority=st.integers(-1, 1), deadline_s=st.sampled_from([None, 3.0, 30.0]))
    def enqueue(self, owner: str, priority: int, deadline_s: float | None) -> None:
        options = JobOptions(priority=priority, deadline_s=deadline_s)
        job = self.jobs.enqueue(Kind.TRAIN, {}, owner=owner, options=options)
        deadline_at = self.now + deadline_s if deadline_s else float("inf")
        self.models.append(Model(job.id, owner, priority, deadline_s, deadline_at, self.seen))

    @initialize()
    def begin(self) -> None:
        self.enqueue("a", 0, None)
        self.claim()

    @rule(seconds=st.sampled_from([1.0, 5.0, LEASE_S + SWEEP_MARGIN_S + 0.5]), sweeps=st.booleans())
    def wait(self, seconds: float, sweeps: bool) -> None:
        self.now += seconds
        if sweeps:
            self.sweep()

    @rule()
    def claim(self) -> None:
        ready = [
            model
            for model in self.models
            if model.state == State.QUEUED
            and model.not_before <= self.now
            and not model.is_overdue(self.now)
            and sum(m.owner == model.owner and m.state in {State.RUNNING, State.CANCELLING} for m in self.models)
            < QUOTA
        ]
        lease = self.leases.claim("w")
        if not ready:
            assert lease is None
            return
        model = min(ready, key=lambda model: (-model.priority, model.job_id))
        model.go(State.RUNNING)
        model.attempt, model.left, model.lease_until = model.attempt + 1, model.left - 1, self.now + LEASE_S
        assert lease is not None
        assert (lease.job_id, lease.attempt) == (model.job_id, model.attempt)
        self.given.append(lease)

    @precondition(lambda self: self.given)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        lease, model, holds = self.held(data)
        if not holds:
            return self.refused(lambda: self.leases.renew(lease))
        model.lease_until = self.now + LEASE_S
        wanted = model.state == State.CANCELLING or model.pausing or model.is_overdue(self.now)
        assert self.leases.renew(lease) == wanted
        return None

    @precondition(lambda self: self.given)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        lease, model, holds = self.held(data)
        delivered: list[str] = []

        def deliver(_: object) -> dict[str, Any]:
            delivered.append(lease.job_id)
            return {}

        if not holds:
            self.refused(lambda: self.leases.succeed(lease, {}, deliver))
            assert delivered == []
            return
        self.leases.succeed(lease, {}, deliver)
        if model.state == State.CANCELLING:
            model.go(State.CANCELLED)
        elif model.is_overdue(self.now):
            model.go(State.FAILED, Reason.DEADLINE)
        else:
            model.go(State.SUCCEEDED)
        assert delivered == [lease.job_id] * (model.state == State.SUCCEEDED)

    @precondition(lambda self: self.given)
    @rule(data=st.data(), reason=st.sampled_from(Reason))
    def fail(self, data: st.DataObject, reason: Reason) -> None:
        lease, model, holds = self.held(data)
        if not holds:
            return self.refused(lambda: self.leases.fail(lease, reason, "why"))
        self.leases.fail(lease, reason, "why")
        return model.go_wrong(reason, self.now)

    @precondition(lambda self: self.given)
    @rule(data=st.data())
    def stopped_or_shut_down(self, data: st.DataObject) -> None:
        lease, model, holds = self.held(data)
        if not holds:
            return self.refused(lambda: self.leases.stopped(lease))
        self.leases.stopped(lease)
        if model.state == State.CANCELLING:
            return model.go(State.CANCELLED)
        if model.is_overdue(self.now):
            return model.go(State.FAILED, Reason.DEADLINE)
        model.left += 1
        return model.go(State.PAUSED if model.pausing else State.QUEUED)

    @rule()
    def sweep(self) -> None:
        moved = self.leases.sweep()
        before = [model.state for model in self.models]
        for model in self.models:
            if model.state in {State.QUEUED, State.PAUSED} and model.is_overdue(self.now):
                model.go(State.FAILED, Reason.DEADLINE)
            elif model.state in {State.RUNNING, State.CANCELLING} and model.lease_until < self.now - SWEEP_MARGIN_S:
                model.go_wrong(Reason.WORKER_LOST, self.now)
        assert moved == sum(old != model.state for old, model in zip(before, self.models, strict=True))

    @precondition(lambda self: self.models)
    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        model = self.some(data)
        if model.state == State.RUNNING:
            self.jobs.pause(model.job_id)
            model.pausing = True
        else:
            self.asked(self.jobs.pause, model, {State.QUEUED: State.PAUSED})

    @precondition(lambda self: self.models)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        model = self.some(data)
        if model.state == State.RUNNING and model.pausing:
            self.jobs.resume(model.job_id)
            model.pausing = False
        elif self.asked(self.jobs.resume, model, {State.PAUSED: State.QUEUED}):
            model.not_before = 0.0

    @precondition(lambda self: self.models)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        waiting = {State.QUEUED: State.CANCELLED, State.PAUSED: State.CANCELLED}
        running = {State.RUNNING: State.CANCELLING, State.CANCELLING: State.CANCELLING}
        self.asked(self.jobs.cancel, self.some(data), {**waiting, **running})

    @precondition(lambda self: self.models)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        model = self.some(data)
        if self.asked(self.jobs.retry, model, {State.FAILED: State.QUEUED, State.CANCELLED: State.QUEUED}):
            model.left, model.not_before = ATTEMPTS, 0.0
            if model.deadline_s is not None:
                model.deadline_at = self.now + model.deadline_s

    def asked(self, ask: Callable[[str], Job], model: Model, edges: dict[State, State]) -> bool:
        """A caller's wish: granted exactly where the model has an edge."""
        if model.state in edges:
            ask(model.job_id)
            model.go(edges[model.state])
            return True
        with pytest.raises(IllegalStateError):
            ask(model.job_id)
        return False

    def refused(self, write: Callable[[], object]) -> None:
        with pytest.raises(LeaseLostError):
            write()

    @invariant()
    def both_agree(self) -> None:
        queue = sorted((m for m in self.models if m.state == State.QUEUED), key=lambda m: (-m.priority, m.job_id))
        places = {model.job_id: place for place, model in enumerate(queue, start=1)}
        page = self.jobs.page(state=None, kind=None, limit=10, cursor=None)
        jobs = sorted(page.jobs, key=lambda job: [model.job_id for model in self.models].index(job.id))
        assert self.jobs.positions(jobs) == places
        for listed, model in zip(jobs, self.models, strict=True):
            job = self.jobs.get(listed.id)
            found = (job.state, job.pausing, job.reason, job.attempt, job.attempts_left)
            assert found == (model.state, model.pausing, model.reason, model.attempt, model.left)
            assert (job.finished_at is not None) == (model.state in FINAL)
            assert (job.lease_until is not None) == (model.state in {State.RUNNING, State.CANCELLING})
            (told,) = self.jobs.events(job.id, job.last_seq - 1).events
            assert told.data["state"] == model.state


class Newest:
    """Takes the last of what could be drawn."""

    def draw(self, strategy: Any, label: str | None = None) -> Any:
        return strategy.elements[-1]


EDGES = (
    "claim succeed",
    "claim fail",
    "claim lost claim succeed",
    "claim cancel stopped_or_shut_down retry claim stopped_or_shut_down claim succeed",
    "claim pause stopped_or_shut_down resume claim pause stopped_or_shut_down cancel retry pause expire retry",
    "pause resume expire",
    "cancel",
)


def walk(machine: LifeCycle, steps: str) -> None:
    """One job's way through all that these say."""
    machine.enqueue("a", 0, 30.0)
    for step in steps.split():
        if step == "fail":
            machine.fail(cast(Any, Newest()), Reason.NAN_LOSS)
        elif step in ("lost", "expire"):
            machine.wait(LEASE_S + SWEEP_MARGIN_S + 0.5 if step == "lost" else 31.0, sweeps=True)
            machine.wait(MOST_S if step == "lost" else 0.0, sweeps=False)
        elif step == "claim":
            machine.claim()
        else:
            getattr(machine, step)(Newest())
        machine.both_agree()


def test_the_store_and_the_model_agree(database_url: str, home: Path) -> None:
    database = Database(quick_settings(home, database_url=database_url).url)
    database.migrate()
    limits = settings(
        max_examples=60 if database.is_sqlite else 20,  # PostgreSQL takes thrice as long
        stateful_step_count=50,
        phases=[Phase.generate],  # to shrink takes minutes; the steps are printed as they are
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    seen: set[tuple[State, State]] = set()
    run_state_machine_as_test(lambda: LifeCycle(database, home, seen), settings=limits)
    for steps in EDGES:  # chance does not meet every edge each time
        walk(LifeCycle(database, home, seen), steps)
    database.dispose()
    if database.is_sqlite:
        assert {(start, end) for edges in TRANSITIONS.values() for start, end in edges.items()} <= seen
