"""A run that was killed, stopped, or met a full disk goes on to the same end, bit for bit; another run's parts are
refused."""

import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ctrfast.errors import ArtifactError, Cancelled, ConfigError, StorageError
from ctrfast.run import Run
from ctrfast.train import train
from tests import tiny_clicks

CHILD = Path(__file__).parent / "killed_child.py"


def last_checkpoint(out):
    return max((int(path.name.removeprefix("step-")) for path in out.glob("checkpoints/step-*")), default=0)


def random_places():
    """Five places in the order of the run: before the first checkpoint at step 3, and in four later parts of it."""
    rng = np.random.default_rng(20)
    steps = [int(rng.integers(first, last)) for first, last in ((1, 3), (12, 19), (22, 29), (32, 39), (42, 49))]
    return list(
        zip(["step", *rng.permutation(["evaluation", "checkpoint", "step", "step"]).tolist()], steps, strict=True)
    )


def test_killed_at_five_random_points(tiny_dataset, watched_run, tmp_path):
    out, log = tmp_path / "killed", tmp_path / "log"
    config = tiny_clicks.watched_settings().model_dump(mode="json")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with log.open("w") as errors, subprocess.Popen([sys.executable, CHILD], stderr=errors, **pipes) as children:
        for place, step in random_places():
            spec = {"place": place, "step": step, "from_step": last_checkpoint(out), "dataset": str(tiny_dataset.path)}
            children.stdin.write(json.dumps(spec | {"config": config, "out": str(out)}) + "\n")
            children.stdin.flush()
            assert children.stdout.readline() == f"{-signal.SIGKILL}\n", log.read_text()[-2000:]
            assert last_checkpoint(out) <= step + 3
            assert bool(list(out.rglob("checkpoints/.partial-*"))) == (place == "checkpoint")
            with pytest.raises(ArtifactError, match="has not finished"):
                Run.open(out)
    assert children.returncode == 0
    assert last_checkpoint(out) > 20  # the last part is not the whole run
    train(tiny_dataset, tiny_clicks.watched_settings(), out, resume=True)
    tiny_clicks.same_run(watched_run, out)


def stop_after(steps, dataset, config, out, **keywords):
    asked = iter(range(10**6))
    with pytest.raises(Cancelled):
        train(dataset, config, out, should_stop=lambda: next(asked) == steps, **keywords)


def test_stopped_between_two_records(tiny_dataset, watched_run, tmp_path):
    out = tmp_path / "run"
    stop_after(11, tiny_dataset, tiny_clicks.watched_settings(), out)
    assert last_checkpoint(out) == 11
    train(tiny_dataset, tiny_clicks.watched_settings(), out, resume=True)
    assert tiny_clicks.records(out) != []
    tiny_clicks.same_run(watched_run, out)


def test_killed_between_the_last_checkpoint_and_the_receipt(tiny_dataset, watched_run, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(watched_run, out)
    (out / "receipt.json").unlink()
    train(tiny_dataset, tiny_clicks.watched_settings(), out, resume=True)  # it has ended early already
    tiny_clicks.same_run(watched_run, out)
    assert Run.open(out).receipt.train_s >= Run.open(watched_run).receipt.train_s * 0.5


@pytest.mark.parametrize("limit", [20_000, 1], ids=["while saving a checkpoint", "while writing a record"])
def test_a_full_disk_keeps_the_last_good_checkpoint(tiny_dataset, watched_run, tmp_path, limit):
    out, soft, hard = tmp_path / "run", *resource.getrlimit(resource.RLIMIT_FSIZE)
    asked = iter(range(10**6))

    def fill_disk():
        if next(asked) == 19:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))  # as a full disk: a write fails half-way
        return False

    try:
        with pytest.raises(StorageError, match=r"cannot be stored: .*File too large.*\. Make room on the disk\.$"):
            train(tiny_dataset, tiny_clicks.watched_settings(), out, should_stop=fill_disk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(out.rglob(".partial-*"))
    before = last_checkpoint(out)
    assert 0 < before < 24
    seen = []
    train(tiny_dataset, tiny_clicks.watched_settings(), out, resume=True, on_progress=seen.append)
    assert seen[0].step > before
    tiny_clicks.same_run(watched_run, out)


def test_a_damaged_checkpoint_is_written_again(tiny_dataset, watched_run, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(watched_run, out)
    (out / "receipt.json").unlink()
    state = sorted(out.glob("checkpoints/*/state.safetensors"))[-1]
    state.write_bytes(state.read_bytes()[:-1])
    train(tiny_dataset, tiny_clicks.watched_settings(), out, resume=True)  # from the one before
    tiny_clicks.same_run(watched_run, out)


def test_a_damaged_best_checkpoint_is_told_before_the_run_goes_on(tiny_dataset, watched_run, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(watched_run, out)
    (out / "receipt.json").unlink()
    state = Run.open(watched_run).receipt.checkpoint
    (out / "checkpoints" / state / "state.safetensors").write_bytes(b"")
    steps = []
    with pytest.raises(ArtifactError, match=f"{state} was changed"):
        train(tiny_dataset, tiny_clicks.watched_settings(), out, resume=True, on_progress=steps.append)
    assert steps == []


def started(watched_run, out):
    """The watched run as it was before its end."""
    shutil.copytree(watched_run, out, ignore=shutil.ignore_patterns("receipt.json"))
    return out


@pytest.mark.parametrize(
    "change, named",
    [
        ({"seed": 2}, "seed=1 (now 2)"),
        ({"model": {"name": "wide_deep"}}, "model.name=deepfm (now wide_deep)"),
        ({"model": {"embedding_dim": 5}}, "model.embedding_dim=4 (now 5)"),
    ],
    ids=["seed", "model", "dim"],
)
def test_another_setting_is_refused_and_named(tiny_dataset, watched_run, tmp_path, change, named):
    out = started(watched_run, tmp_path / "run")
    values = tiny_clicks.watched_settings().model_dump()
    for name, value in change.items():
        values[name] = values[name] | value if isinstance(value, dict) else value
    with pytest.raises(ArtifactError) as caught:
        train(tiny_dataset, tiny_clicks.parse_config(values), out, resume=True)
    assert named in caught.value.message
    assert caught.value.path == named.partition("=")[0]


def test_another_dataset_is_refused(watched_run, tmp_path):
    out = started(watched_run, tmp_path / "run")
    (tmp_path / "other").mkdir()
    other = tiny_clicks.make_dataset(tmp_path / "other", tiny_clicks.learnable(4500, seed=2))
    with pytest.raises(ArtifactError, match="another dataset"):
        train(other, tiny_clicks.watched_settings(), out, resume=True)


@pytest.mark.parametrize("what", ["seed", "dataset"])
def test_a_checkpoint_of_another_run_is_refused(tiny_dataset, watched_run, tmp_path, what):
    """Its tensors have the right shapes: only its seal tells."""
    dataset, config = tiny_dataset, tiny_clicks.watched_settings()
    if what == "seed":
        config = config.model_copy(update={"seed": 2})
    else:
        (tmp_path / "other").mkdir()
        dataset = tiny_clicks.make_dataset(tmp_path / "other", tiny_clicks.learnable(4500, seed=2))
    out = tmp_path / "run"
    stop_after(0, dataset, config, out)
    for path in watched_run.glob("checkpoints/*"):
        shutil.copytree(path, out / "checkpoints" / path.name)
    with pytest.raises(ArtifactError, match=r"step-[0-9]+ belongs to another run"):
        train(dataset, config, out, resume=True)
    assert len(list(out.glob("checkpoints/step-*"))) > 1  # nothing was removed


def test_a_finished_run_is_refused(tiny_dataset, watched_run):
    with pytest.raises(ConfigError, match="finished already"):
        train(tiny_dataset, tiny_clicks.watched_settings(), watched_run, resume=True)
