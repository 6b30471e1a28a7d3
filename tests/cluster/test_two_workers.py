"""Two worker processes take the steps of one, measure all rows, stop when told, and go on where one is lost."""

import json
import subprocess
import sys

import numpy as np
import pytest

from ctrfast.checkpoint import Checkpoint
from ctrfast.data.row_groups import Part
from ctrfast.evaluate import evaluate
from ctrfast.loop.epoch_batches import epoch_batches
from ctrfast.network import Network
from ctrfast.optim.scaling import make_plan
from ctrfast.optim.step_settings import StepSettings
from ctrfast.row_sums import row_sums_form
from ctrfast.run import Run
from ctrfast.step import make_step
from tests import tiny_clicks
from tests.cluster.connections import strangers_among
from tests.cluster.two_workers_program import DENSE, DIES_BEFORE_STEP, SPARSE, UNDISTURBED

pytestmark = pytest.mark.timeout(1200)
STEPS = 20


@pytest.fixture(scope="module")
def runs(tiny_dataset, tmp_path_factory):
    """The folder of the program's runs, what it told, and all that it printed."""
    out = tmp_path_factory.mktemp("two")
    program = [sys.executable, "-m", "tests.cluster.two_workers_program", tiny_dataset.path, out]
    done = subprocess.run(program, capture_output=True, text=True, timeout=1100)
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout.splitlines()[-1]), done.stderr + done.stdout


def one_worker(dataset, config):
    """State and losses of the steps of one process that is given the rows of both workers' batches."""
    plan = make_plan(config, dataset.fitted.schema_.name)
    network = Network(config.model, dataset.fitted, seed=config.seed, embedding_init_std=plan.embedding_init_std)
    starts = [row for _, row in dataset.fitted.row_ranges]
    settings = StepSettings.of(plan, dataset.rows("train") // config.batch_size, config.epochs)
    step = make_step(network.model, network.table, starts, settings, batch_size=config.batch_size)
    first, losses = {name: np.asarray(value).copy() for name, value in step.optimizer.state().items()}, []
    for epoch in range(config.epochs):
        parts = [epoch_batches(dataset, config, epoch, Part(index, 2)) for index in range(2)]
        for _ in range(dataset.rows("train") // config.batch_size):
            both = [next(part) for part in parts]
            together = (np.concatenate([getattr(b, name) for b in both]) for name in ("ids", "numbers", "labels"))
            losses.append(float(step(*together)[0]))
    return first, {name: np.asarray(value) for name, value in step.optimizer.state().items()}, losses


@pytest.mark.parametrize(("name", "config"), [("dense", DENSE), ("sparse", SPARSE)])
def test_two_workers_take_the_steps_of_one(runs, tiny_dataset, name, config):
    run = Run.open(runs[0] / name)
    assert run.receipt.steps == STEPS
    first, last, losses = one_worker(tiny_dataset, config)
    got = Checkpoint.open(run.checkpoint, run.seal).tensors(list(last))
    for key, value in last.items():
        np.testing.assert_allclose(got[key], value, rtol=0, atol=2e-7, err_msg=key)
    assert np.abs(last["table"] - first["table"]).max() > 1e-3
    assert 0.1 < run.metrics["clipped_share"] < 0.9
    logged = [record["loss"] for record in tiny_clicks.records(run.path) if record["kind"] == "train"]
    windows = [losses[0:4], losses[4:8], losses[8:10], losses[10:12], losses[12:16], losses[16:20]]
    np.testing.assert_allclose(logged, [np.mean(window) for window in windows], atol=1e-6)


@pytest.mark.parametrize("name", ["small-dense", "small-sparse"])
def test_two_workers_that_exchange_touched_rows_take_the_steps_of_one(runs, tiny_dataset, name):
    config, run = UNDISTURBED[name], Run.open(runs[0] / name)
    assert row_sums_form(tiny_dataset, config, 2) == "sparse" != row_sums_form(tiny_dataset, DENSE, 2)
    first, last, losses = one_worker(tiny_dataset, config)
    assert run.receipt.steps == len(losses) > 2 * STEPS
    got = Checkpoint.open(run.checkpoint, run.seal).tensors(list(last))
    for key, value in last.items():
        np.testing.assert_allclose(got[key], value, rtol=0, atol=2e-7, err_msg=key)
    assert np.abs(last["table"] - first["table"]).max() > 1e-3
    assert 0.1 < run.metrics["clipped_share"] < 0.95


def test_the_updates_differ(runs):
    tables = [
        Checkpoint.open(run.checkpoint, run.seal).tensors(["table"])["table"]
        for run in (Run.open(runs[0] / name) for name in ("dense", "sparse"))
    ]
    assert np.abs(tables[0] - tables[1]).max() > 1e-5


def test_the_figures_are_those_of_all_rows(runs, tiny_dataset):
    run = Run.open(runs[0] / "dense")
    for split in ("valid", "test"):
        figures = evaluate(run.path, [tiny_dataset.path], split).metrics
        assert run.metrics[f"{split}_rows"] == figures["rows"] == 900
        for name in ("auc", "log_loss", "ece", "pr_auc"):
            assert run.metrics[f"{split}_{name}"] == pytest.approx(figures[name], abs=1e-6)


def test_a_stop_reaches_the_workers(runs):
    out, told, _ = runs
    assert told["stopped"].startswith("Stopped after 1 of 20 steps; a checkpoint is kept.")
    assert told["refused"].startswith("The run") and "optimizer.update=dense (now sparse)" in told["refused"]
    assert not list(out.rglob(".partial-*"))


def test_a_run_that_loses_a_worker_ends_as_an_undisturbed_one(runs):
    out, told, printed = runs
    assert told["stopped_at_once"].startswith(f"Stopped after 1 of {STEPS} steps; a checkpoint is kept.")
    assert (out / "died").exists()
    assert DIES_BEFORE_STEP % DENSE.checkpoint_every_steps  # else nothing had to be done again
    assert told["steps"][-1] == Run.open(out / "hurt").receipt.steps == STEPS
    assert "A worker was lost" in printed
    tiny_clicks.same_run(out / "dense", out / "hurt")


def test_the_workers_talk_on_loopback_alone(runs):
    peers = {(address, command) for address, command in runs[1]["peers"]}
    assert peers and not strangers_among(peers)
