"""Sweeps and their children in the store, on SQLite and PostgreSQL; the test is the worker."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service.leases import Report
from service.options import JobOptions
from service.problems import IllegalStateError, NotFoundError, QueueFullError, SweepEndedError
from service.states import Kind, Reason, State
from service.sweep_specs import parse_sweep_spec
from service.wiring import Services
from tests.service.stored_sweeps import SPEC, children_of, claim, look, states_told, succeed, sweep


@pytest.fixture(autouse=True)
def clock(services: Services, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of jobs and leases, which stands still unless a test moves it."""
    now = [1000.0]
    for store in (services.jobs, services.leases):
        monkeypatch.setattr(store, "_clock", lambda: now[0])
    return now


def at_once(call: Callable[[], Any], count: int = 6) -> list[Any]:
    """What calls at the same moment return."""
    barrier = threading.Barrier(count)

    def together(_: int) -> Any:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(together, range(count)))


def test_children_are_train_jobs_in_the_order_of_the_points(services: Services) -> None:
    options = JobOptions(priority=3, deadline_s=100.0, labels={"team": "ads"})
    parent = sweep(services, owner="a", options=options)
    children = children_of(services, parent)
    assert [(child.spec["scaling"]["rule"], child.spec["seed"]) for child in children] == [
        ("none", 1), ("none", 2), ("cowclip", 1), ("cowclip", 2),
    ]  # fmt: skip
    for child in children:
        assert (child.kind, child.owner, child.priority, child.labels) == ("train", "a", 3, {"team": "ads"})
        assert (child.deadline_at, child.spec["dataset"], child.spec["epochs"]) == (parent.deadline_at, "d", 2)
        assert child.attempts_left == services.settings.max_attempts
        assert states_told(services, child) == ["queued"]
    assert services.jobs.positions([parent, *children]) == {child.id: n for n, child in enumerate(children, start=1)}
    labelled = services.jobs.page(state=None, kind=None, limit=50, cursor=None, labels={"team": "ads"}).jobs
    assert len(labelled) == 5


def test_the_sweep_holds_no_worker_and_ends_with_its_children(services: Services) -> None:
    parent = sweep(services)
    assert look(services, parent) == ("queued", {"queued": 4})
    for number in range(4):
        lease = claim(services)
        assert lease.kind is Kind.TRAIN
        assert lease.parent_id == parent.id
        services.leases.renew(lease, Report(progress=0.5))
        assert look(services, parent)[0] == "running"
        assert services.jobs.get(parent.id).progress == pytest.approx((number + 0.5) / 4)
        succeed(services, lease, test_auc=0.7 + number / 100, valid_auc=[0.6, 0.62, 0.64, 0.61][number])
    assert services.leases.claim("w") is None
    best = children_of(services, parent)[2]
    assert look(services, parent) == ("succeeded", {"succeeded": 4})
    done = services.jobs.get(parent.id)
    none, cowclip = done.metrics["groups"]
    assert (none["settings"], none["runs"]) == ({"scaling.rule": "none"}, 2)
    assert none["figures"]["test_auc"] == {"count": 2, "mean": pytest.approx(0.705), "sd": pytest.approx(0.0070710678)}
    assert cowclip["figures"]["test_auc"]["mean"] == pytest.approx(0.725)
    assert done.metrics["best"] == {
        "job": best.id, "settings": {"scaling.rule": "cowclip", "seed": 1}, "valid_auc": 0.64,
    }  # fmt: skip
    assert (done.result, done.progress, done.attempt) == ({"best": best.id}, 1.0, 0)
    assert done.started_at is not None
    assert states_told(services, parent) == ["queued", "running", "succeeded"]
    services.leases.settle(parent.id)  # twice is harmless
    assert states_told(services, parent) == ["queued", "running", "succeeded"]
    with pytest.raises(IllegalStateError):
        services.jobs.cancel(parent.id)


def test_failures_leave_the_others_alone_and_the_commonest_reason_is_the_sweeps(services: Services) -> None:
    parent = sweep(services)
    for reason in (Reason.BAD_DATA, Reason.NAN_LOSS, Reason.NAN_LOSS):
        services.leases.fail(claim(services), reason, f"why {reason}")
        assert look(services, parent)[0] == "running"
    succeed(services, claim(services), test_auc=0.7)
    assert look(services, parent) == ("failed", {"failed": 3, "succeeded": 1})
    done = services.jobs.get(parent.id)
    assert (done.reason, done.metrics["best"]) == ("nan_loss", None)
    assert done.message == "3 of 4 runs failed, most often with nan_loss: why nan_loss"
    assert done.metrics["groups"][0]["runs"] == 1
    failed = children_of(services, parent)[0]
    with pytest.raises(SweepEndedError, match=parent.id):
        services.jobs.retry(failed.id)

    services.jobs.retry(parent.id)
    again = services.jobs.get(parent.id)
    assert (again.state, again.reason, again.metrics, again.result) == ("running", None, {}, {})
    assert look(services, parent)[1] == {"queued": 3, "succeeded": 1}
    for _ in range(3):
        succeed(services, claim(services), valid_auc=0.5)
    assert look(services, parent)[0] == "succeeded"


def test_cancel_reaches_all_children(services: Services) -> None:
    parent = sweep(services)
    succeed(services, claim(services), valid_auc=0.7)
    running = claim(services)
    assert services.jobs.cancel(parent.id).state == "cancelling"
    assert services.jobs.cancel(parent.id).state == "cancelling"
    assert look(services, parent) == ("cancelling", {"succeeded": 1, "cancelling": 1, "cancelled": 2})
    with pytest.raises(SweepEndedError):
        services.jobs.retry(children_of(services, parent)[3].id)
    assert services.leases.renew(running)
    services.leases.stopped(running)
    assert look(services, parent) == ("cancelled", {"succeeded": 1, "cancelled": 3})
    assert states_told(services, parent) == ["queued", "running", "cancelling", "cancelled"]
    assert services.jobs.get(parent.id).metrics["groups"][0]["runs"] == 1
    paused = sweep(services)
    succeed(services, claim(services), valid_auc=0.7)
    services.jobs.pause(paused.id)
    assert services.jobs.cancel(paused.id).state == "cancelled"
    assert services.jobs.get(paused.id).metrics["groups"][0]["runs"] == 1
    waiting = sweep(services)
    assert services.jobs.cancel(waiting.id).state == "cancelled"
    assert look(services, waiting) == ("cancelled", {"cancelled": 4})


def test_pause_and_resume_reach_all_children(services: Services) -> None:
    parent = sweep(services)
    with pytest.raises(IllegalStateError):
        services.jobs.resume(parent.id)
    running = claim(services)
    asked = services.jobs.pause(parent.id)
    assert (asked.state, asked.pausing) == ("running", True)
    assert look(services, parent) == ("running", {"running": 1, "paused": 3})
    services.leases.stopped(running)
    assert look(services, parent) == ("paused", {"paused": 4})
    assert services.leases.claim("w") is None
    with pytest.raises(IllegalStateError):
        services.jobs.pause(parent.id)
    assert services.jobs.resume(parent.id).state == "queued"
    assert look(services, parent) == ("queued", {"queued": 4})
    lease = claim(services)
    services.jobs.pause(parent.id)
    assert services.jobs.resume(parent.id).pausing is False
    assert not services.leases.renew(lease)
    assert look(services, parent) == ("running", {"running": 1, "queued": 3})
    services.jobs.cancel(parent.id)
    services.leases.stopped(lease)
    idle = sweep(services)
    assert services.jobs.pause(idle.id).state == "paused"
    assert services.jobs.cancel(idle.id).state == "cancelled"


def test_children_that_are_cancelled_one_by_one_cancel_the_sweep(services: Services) -> None:
    parent = sweep(services)
    services.jobs.pause(parent.id)
    for child in children_of(services, parent):
        services.jobs.cancel(child.id)
    assert services.jobs.get(parent.id).state == "cancelled"


def test_a_child_is_retried_while_its_sweep_goes_on(services: Services) -> None:
    parent = sweep(services)
    lease = claim(services)
    services.leases.fail(lease, Reason.NAN_LOSS, "no")
    assert look(services, parent)[0] == "running"
    assert services.jobs.retry(lease.job_id).state == "queued"
    for _ in range(4):
        succeed(services, claim(services))
    assert look(services, parent)[0] == "succeeded"


def test_a_deadline_ends_children_and_sweep(services: Services, clock: list[float]) -> None:
    parent = sweep(services, options=JobOptions(deadline_s=50.0))
    clock[0] = 1049.0
    lease = claim(services)
    clock[0] = 1050.5
    assert services.leases.renew(lease)
    assert look(services, parent) == ("running", {"running": 1, "failed": 3})
    assert services.leases.stopped(lease) is State.FAILED
    assert look(services, parent) == ("failed", {"failed": 4})
    assert services.jobs.get(parent.id).reason == "deadline"


def test_the_queues_limit_counts_children(services: Services) -> None:
    limited = services.jobs.of("default")
    limited._settings = services.settings.model_copy(update={"max_queued": 7})
    spec = parse_sweep_spec(SPEC)
    limited.enqueue(Kind.SWEEP, SPEC, children=spec.child_specs())
    with pytest.raises(QueueFullError):
        limited.enqueue(Kind.SWEEP, SPEC, children=spec.child_specs())
    assert Counter(job.kind for job in limited.page(state=None, kind=None, limit=50, cursor=None).jobs) == {
        "sweep": 1,
        "train": 4,
    }
    for _ in range(3):
        limited.enqueue(Kind.TRAIN, {})  # the sweep itself takes no place
    with pytest.raises(QueueFullError):
        limited.enqueue(Kind.TRAIN, {})


def test_children_count_against_the_quota_and_the_sweep_does_not(services: Services) -> None:
    services.leases._settings = services.settings.model_copy(update={"max_running_per_key": 2})
    parent = sweep(services, owner="a")
    claim(services)
    assert look(services, parent)[0] == "running"
    claim(services)
    assert services.leases.claim("w") is None


def test_twins_are_one_sweep_with_one_set_of_children(services: Services) -> None:
    first, second = (sweep(services, key="k") for _ in range(2))
    assert first.id == second.id
    assert len(children_of(services, first)) == 4
    assert len(services.jobs.page(state=None, kind=None, limit=50, cursor=None).jobs) == 5


@pytest.mark.parametrize("key", ["k", None])
def test_many_at_the_same_moment(services: Services, key: str | None) -> None:
    ids = at_once(lambda: sweep(services, key=key).id)
    sweeps = 1 if key else 6
    assert len(set(ids)) == sweeps
    assert {len(children_of(services, services.jobs.get(sweep_id))) for sweep_id in ids} == {4}
    assert len(services.jobs.page(state=None, kind=None, limit=50, cursor=None).jobs) == 5 * sweeps


def test_whoever_comes_by_at_the_same_moment_it_ends_once(services: Services) -> None:
    parent = sweep(services)
    for _ in range(4):
        succeed(services, claim(services), valid_auc=0.5)
    at_once(lambda: services.leases.settle(parent.id))
    assert states_told(services, parent) == ["queued", "running", "succeeded"]


def test_the_best_is_queued_for_a_worker_once_all_have_succeeded(services: Services) -> None:
    parent = sweep(services, {**SPEC, "publish_best_as": "ctr"})
    for valid_auc in (0.6, 0.7, 0.65, 0.5):
        succeed(services, claim(services), valid_auc=valid_auc)
    best = children_of(services, parent)[1]
    assert look(services, parent) == ("queued", {"succeeded": 4})
    now = services.jobs.get(parent.id)
    assert (now.result, services.jobs.positions([now])) == ({"best": best.id}, {parent.id: 1})
    lease = claim(services)
    assert (lease.job_id, lease.kind, lease.attempt) == (parent.id, Kind.SWEEP, 1)
    services.leases.sweep()
    services.leases.fail(lease, Reason.BAD_DATA, "the run is gone")
    assert services.jobs.get(parent.id).state == "failed"
    services.jobs.retry(parent.id)
    again = claim(services)
    assert (again.job_id, again.attempt) == (parent.id, 2)
    assert succeed(services, again) is State.SUCCEEDED


def test_a_wish_that_comes_after_the_last_run_loses_nothing(services: Services) -> None:
    parent = sweep(services)
    for _ in range(4):
        succeed(services, claim(services), valid_auc=0.5)
    for wish in (services.jobs.cancel, services.jobs.pause):
        with pytest.raises(IllegalStateError, match="succeeded"):
            wish(parent.id)
    assert look(services, parent)[0] == "succeeded"


def test_a_sweep_that_is_paused_does_not_publish(services: Services) -> None:
    parent = sweep(services, {**SPEC, "publish_best_as": "ctr"})
    for _ in range(3):
        succeed(services, claim(services), valid_auc=0.5)
    last = claim(services)
    assert services.jobs.pause(parent.id).pausing
    succeed(services, last, valid_auc=0.6)
    assert look(services, parent) == ("paused", {"succeeded": 4})
    assert services.leases.claim("w") is None
    assert services.jobs.resume(parent.id).state == "queued"
    assert claim(services).job_id == parent.id


def test_without_validation_figures_there_is_no_best_to_publish(services: Services) -> None:
    parent = sweep(services, {**SPEC, "publish_best_as": "ctr"})
    for _ in range(4):
        succeed(services, claim(services), test_auc=0.7)
    assert look(services, parent)[0] == "failed"
    assert services.jobs.get(parent.id).reason == "bad_data"


def test_another_project_sees_neither_sweep_nor_children(services: Services) -> None:
    parent = sweep(services)
    other = services.jobs.of("other")
    for call in (other.get, other.cancel, other.pause, other.resume, other.retry):
        with pytest.raises(NotFoundError):
            call(parent.id)
        with pytest.raises(NotFoundError):
            call(children_of(services, parent)[0].id)
    assert other.page(state=None, kind=None, limit=5, cursor=None, parent=parent.id).jobs == []
    assert look(services, parent) == ("queued", {"queued": 4})
