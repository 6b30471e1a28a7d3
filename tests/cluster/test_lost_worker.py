"""Two worker processes that are stopped, go on, and lose one of them: the run ends as one that was left alone."""

import json
import subprocess
import sys

import pytest

from ctrfast.run import Run
from tests import tiny_clicks
from tests.cluster.lost_worker_program import CONFIG, DIES_BEFORE_STEP

pytestmark = pytest.mark.timeout(900)
STEPS = 10


def test_a_run_that_loses_a_worker_ends_as_an_undisturbed_one(tiny_dataset, tmp_path):
    program = [sys.executable, "-m", "tests.cluster.lost_worker_program", tiny_dataset.path, tmp_path]
    done = subprocess.run(program, capture_output=True, text=True, timeout=880)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["stopped"].startswith(f"Stopped after 1 of {STEPS} steps; a checkpoint is kept.")
    assert (tmp_path / "died").exists()
    assert DIES_BEFORE_STEP % CONFIG.checkpoint_every_steps  # else nothing had to be done again
    assert told["steps"][-1] == Run.open(tmp_path / "hurt").receipt.steps == STEPS
    assert "A worker was lost" in done.stderr + done.stdout
    tiny_clicks.same_run(tmp_path / "dense", tmp_path / "hurt")
    assert not list(tmp_path.rglob(".partial-*"))
