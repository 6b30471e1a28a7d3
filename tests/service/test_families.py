"""Sweeps and their children in the store, on SQLite and PostgreSQL; the test is the worker."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ctrfast.sweep.optuna_search import Trial, ask
from service.leases import Lease, Report
from service.options import JobOptions
from service.problems import IllegalStateError, NotFoundError, QueueFullError, SweepEndedError
from service.states import Kind, Reason, State
from service.sweep_specs import parse_sweep_spec
from service.tables import Job
from service.wiring import Services

GRID = {"scaling.rule": ["none", "cowclip"], "seed": [1, 2]}
SPEC: dict[str, Any] = {"base": {"dataset": "d", "epochs": 2}, "grid": GRID}


@pytest.fixture(autouse=True)
def clock(services: Services, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of jobs and leases, which stands still unless a test moves it."""
    now = [1000.0]
    for store in (services.jobs, services.leases):
        monkeypatch.setattr(store, "_clock", lambda: now[0])
    return now


def sweep(services: Services, spec: dict[str, Any] = SPEC, **options: Any) -> Job:
    children = parse_sweep_spec(spec).child_specs()
    return services.jobs.enqueue(Kind.SWEEP, spec, children=children, **options)


def children_of(services: Services, parent: Job) -> list[Job]:
    page = services.jobs.page(state=None, kind=None, limit=50, cursor=None, parent=parent.id)
    return sorted(page.jobs, key=lambda job: job.id)


def claim(services: Services) -> Lease:
    lease = services.leases.claim("w")
    assert lease is not None
    return lease


def succeed(services: Services, lease: Lease, **metrics: float) -> State:
    return services.leases.succeed(lease, metrics, lambda _: {})


def look(services: Services, parent: Job) -> tuple[str, dict[str, int]]:
    """The sweep's state once somebody has come by, and its children by state."""
    services.leases.sweep()
    now = services.jobs.get(parent.id)
    return now.state, services.jobs.children([now])[parent.id]


def at_once(call: Callable[[], Any], count: int = 6) -> list[Any]:
    """What calls at the same moment return."""
    barrier = threading.Barrier(count)

    def together(_: int) -> Any:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(together, range(count)))


def states_told(services: Services, parent: Job) -> list[str]:
    return [event.data["state"] for event in services.jobs.events(parent.id, 0).events if event.type == "state"]


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


ASKED = {
    "base": {"dataset": "d", "epochs": 2},
    "grid": {"optimizer.lr_embed": {"low": 1e-4, "high": 1e-2, "log": True}, "seed": [1, 2]},
    "search": {"name": "optuna", "points": 3, "seed": 5},
}


def rate_of(job: Job) -> float:
    return float(job.spec["optimizer"]["lr_embed"])


def run_round(services: Services, parent: Job, auc: float) -> None:
    for _ in range(2):
        succeed(services, claim(services), valid_auc=auc)
    look(services, parent)


def test_a_search_with_optuna_asks_for_a_round_when_the_one_before_has_ended(services: Services) -> None:
    parent = sweep(services, ASKED)
    assert look(services, parent) == (State.QUEUED, {"queued": 2})
    succeed(services, claim(services), valid_auc=0.7)
    assert look(services, parent) == (State.RUNNING, {"queued": 1, "succeeded": 1})
    assert services.jobs.get(parent.id).progress == pytest.approx(1 / 6)
    succeed(services, claim(services), valid_auc=0.8)
    assert look(services, parent) == (State.RUNNING, {"queued": 2, "succeeded": 2})
    run_round(services, parent, 0.6)
    run_round(services, parent, 0.9)
    children = children_of(services, parent)
    assert look(services, parent) == (State.SUCCEEDED, {"succeeded": 6})
    asked = [rate_of(children[place]) for place in (0, 2, 4)]

    config = parse_sweep_spec(ASKED).config
    grid = {"optimizer.lr_embed": config.grid["optimizer.lr_embed"]}
    assert config.search is not None
    trials: list[Trial] = []
    for rate, auc in zip(asked, (0.75, 0.6, 0.9), strict=True):
        assert ask(config.search, grid, trials) == {"optimizer.lr_embed": rate}  # told the means over the seeds
        trials.append(Trial({"optimizer.lr_embed": rate}, "succeeded", auc))
    assert [(rate_of(child), child.spec["seed"]) for child in children] == [(r, s) for r in asked for s in (1, 2)]
    assert services.jobs.get(parent.id).metrics["best"]["job"] in {children[4].id, children[5].id}


def test_a_search_that_is_paused_asks_nothing_until_it_is_resumed(services: Services) -> None:
    parent = sweep(services, ASKED)
    leases = [claim(services), claim(services)]
    look(services, parent)
    services.jobs.pause(parent.id)
    for lease in leases:
        succeed(services, lease, valid_auc=0.7)
    assert look(services, parent) == (State.PAUSED, {"succeeded": 2})
    assert look(services, parent) == (State.PAUSED, {"succeeded": 2})
    services.jobs.resume(parent.id)
    assert look(services, parent) == (State.RUNNING, {"queued": 2, "succeeded": 2})


def test_a_search_that_is_cancelled_asks_no_more_and_goes_on_after_a_retry(services: Services) -> None:
    parent = sweep(services, ASKED)
    run_round(services, parent, 0.7)
    services.jobs.cancel(parent.id)
    assert look(services, parent) == (State.CANCELLED, {"cancelled": 2, "succeeded": 2})
    services.jobs.retry(parent.id)
    run_round(services, parent, 0.8)
    assert look(services, parent) == (State.RUNNING, {"queued": 2, "succeeded": 4})


def test_a_round_that_fails_is_told_and_does_not_stop_the_search(services: Services) -> None:
    parent = sweep(services, ASKED)
    for _ in range(2):
        services.leases.fail(claim(services), Reason.NAN_LOSS, "The loss is not a number.")
    assert look(services, parent) == (State.RUNNING, {"failed": 2, "queued": 2})
    run_round(services, parent, 0.8)
    run_round(services, parent, 0.8)
    assert look(services, parent) == (State.FAILED, {"failed": 2, "succeeded": 4})


def test_a_worker_without_optuna_says_so(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = sweep(services, ASKED)
    monkeypatch.setitem(sys.modules, "optuna", None)
    run_round(services, parent, 0.8)
    now = services.jobs.get(parent.id)
    assert (now.state, now.reason) == (State.FAILED, Reason.INTERNAL)
    assert "ctrfast[optuna]" in now.message


def test_a_pruned_run_ends_as_cancelled_and_the_sweep_succeeds_without_it(services: Services) -> None:
    parent = sweep(services, {**SPEC, "prune": "median"})
    for auc in (0.7, 0.8, 0.75):
        succeed(services, claim(services), valid_auc=auc)
    lease = claim(services)
    assert services.leases.prune(lease, "Below the median.") == State.CANCELLED
    assert look(services, parent) == (State.SUCCEEDED, {"cancelled": 1, "succeeded": 3})
    pruned = services.jobs.get(lease.job_id)
    assert (pruned.message, pruned.result) == ("Below the median.", {"pruned": True})
    assert [group["runs"] for group in services.jobs.get(parent.id).metrics["groups"]] == [2, 1]


def test_a_retry_of_a_sweep_leaves_its_pruned_runs(services: Services) -> None:
    parent = sweep(services, {**SPEC, "prune": "median"})
    services.leases.prune(claim(services), "Below the median.")
    for _ in range(3):
        services.leases.fail(claim(services), Reason.NAN_LOSS, "The loss is not a number.")
    assert look(services, parent) == (State.FAILED, {"cancelled": 1, "failed": 3})
    services.jobs.retry(parent.id)
    assert look(services, parent) == (State.RUNNING, {"cancelled": 1, "queued": 3})


def test_a_wish_to_cancel_comes_before_pruning(services: Services) -> None:
    parent = sweep(services)
    lease = claim(services)
    services.jobs.cancel(parent.id)
    assert services.leases.prune(lease, "Below the median.") == State.CANCELLED
    assert services.jobs.get(lease.job_id).result == {}
    assert look(services, parent)[0] == State.CANCELLED


def test_optuna_is_told_of_a_pruned_round(services: Services) -> None:
    parent = sweep(services, {**ASKED, "prune": "median"})
    for _ in range(2):
        lease = claim(services)
        services.leases.renew(lease, Report(progress=0.5, metrics={"valid_auc": 0.6}))
        services.leases.prune(lease, "Below the median.")
    look(services, parent)
    children = children_of(services, parent)
    config = parse_sweep_spec(ASKED).config
    assert config.search is not None
    grid = {"optimizer.lr_embed": config.grid["optimizer.lr_embed"]}
    trial = Trial({"optimizer.lr_embed": rate_of(children[0])}, "pruned", 0.6)
    assert ask(config.search, grid, [trial]) == {"optimizer.lr_embed": rate_of(children[2])}
