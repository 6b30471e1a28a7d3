"""Sweeps whose rounds a search asks for, and runs that were pruned, on both databases; the test is the worker."""

from __future__ import annotations

import sys

import pytest

from ctrfast.sweep.optuna_search import Trial, ask
from service.leases import Report
from service.states import Reason, State
from service.sweep_specs import parse_sweep_spec
from service.tables import Job
from service.wiring import Services
from tests.service.stored_sweeps import SPEC, children_of, claim, look, succeed, sweep

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
