"""`ctrfast sweep` with real runs: killed half-way and called again, it repeats nothing and ends at the same bits."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import time

import pytest
import yaml

from ctrfast.sweep import parse_sweep, sweep_points
from ctrfast.train import train
from tests.command_line import CTRFAST, called, refused
from tests.tiny_clicks import SETTINGS, same_run


def wait_until(condition, timeout_s=600):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill_after_a_checkpoint(arguments, out, run):
    """Have the command killed while a point is at work; one that was quicker than the kill is followed by another."""
    command = [CTRFAST, *map(str, arguments)]
    for _ in range(5):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                wait_until(lambda of=process: list(run.glob("checkpoints/step-*")) or of.poll() is not None)
            finally:
                process.kill()
        with (out / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the point's process holds it as long as it lives
        if not (run / "receipt.json").exists():
            assert list(run.glob("checkpoints/step-*"))
            return
        shutil.rmtree(out)
    pytest.fail("the point had ended before each of 5 kills")


def test_a_sweep_with_a_failing_point_that_is_killed_in_the_next_one(tiny_dataset, tmp_path):
    file, out = tmp_path / "sweep.yaml", tmp_path / "sweep"
    base = {**SETTINGS, "epochs": 8, "checkpoint_every_steps": 4}
    values = {"base": base, "grid": {"optimizer.lr_dense": [1e30, 0.01], "scaling.rule": ["cowclip"]}}
    file.write_text(yaml.safe_dump(values))
    arguments = ("sweep", "--config", file, "--out", out)
    assert "--data" in refused(*arguments, code=2)
    file.write_text(yaml.safe_dump({"data": str(tiny_dataset.path), **values}))
    run = out / "runs" / "rule=cowclip_lr_dense=0.01"
    kill_after_a_checkpoint(arguments, out, run)
    failed = (out / "logs" / "rule=cowclip_lr_dense=1e+30.txt").read_bytes()

    shown = called(*arguments, code=1)
    assert shown.stderr == f"error: 1 of 2 points failed: see {out}/points.jsonl.\n"
    assert (out / "logs" / "rule=cowclip_lr_dense=1e+30.txt").read_bytes() == failed  # it was not tried again
    (line,) = [line.split() for line in shown.stdout.splitlines() if line.startswith("cowclip")]
    assert line[:3] == ["cowclip", "0.01", "1"]
    assert "best by validation AUC: rule=cowclip_lr_dense=0.01 (0." in shown.stdout
    assert "failed: rule=cowclip_lr_dense=1e+30: nan_loss: " in shown.stdout
    assert (out / "auc_by_batch_size.png").read_bytes().startswith(b"\x89PNG")
    rows = [json.loads(line) for line in (out / "points.jsonl").read_text().splitlines()]
    assert [row["state"] for row in rows] == ["failed", "succeeded"]
    point = sweep_points(parse_sweep(values))[1]
    train(tiny_dataset, point.config, tmp_path / "undisturbed")
    same_run(tmp_path / "undisturbed", run)
