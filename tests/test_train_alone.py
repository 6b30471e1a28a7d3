"""One process at a time trains into a run's folder; one that was killed stands in nobody's way."""

import subprocess
import sys

import pytest

from ctrfast.errors import ConfigError
from ctrfast.file_lock import run_lock, take
from ctrfast.run import Run
from ctrfast.train import train
from tests import tiny_clicks

PROGRAM = """
import sys, time
from pathlib import Path
from ctrfast.data.shards import Dataset
from ctrfast.train import train
from tests import tiny_clicks

def wait():
    print("at work", flush=True)
    time.sleep(600)

train(Dataset.open(Path(sys.argv[1])), tiny_clicks.settings(epochs=1), Path(sys.argv[2]), should_stop=wait)
"""


@pytest.fixture
def other(tiny_dataset, tmp_path):
    """A process that is training into `run`."""
    command = [sys.executable, "-c", PROGRAM, tiny_dataset.path, tmp_path / "run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "at work\n"
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_until_the_first_is_gone(tiny_dataset, tmp_path, other):
    out, link, config = tmp_path / "run", tmp_path / "link", tiny_clicks.settings(epochs=1)
    link.symlink_to(out)
    before = sorted(out.rglob("*"))
    for name, resume in ((out, True), (out, False), (link, True)):
        with pytest.raises(ConfigError) as caught:
            train(tiny_dataset, config, name, resume=resume)
        problem = f"Another process is training into {name}. Wait for it, or choose another name."
        assert caught.value.message == problem
    assert sorted(out.rglob("*")) == before
    other.kill()
    other.wait()
    train(tiny_dataset, config, out, resume=True)
    assert Run.open(out).receipt.steps == 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "run"]


def test_who_has_patience_waits_and_the_last_one_leaves_nothing(tmp_path):
    with run_lock(tmp_path / "run") as first, run_lock(tmp_path / "run", patience_s=0.3) as second:
        first.take()
        with pytest.raises(ConfigError, match="Another process is training"):
            second.take()
    with run_lock(tmp_path / "run") as third:
        third.take()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_removed_meanwhile_is_not_held_twice(tmp_path, monkeypatch):
    """Between its opening and its locking, who held it has removed it and a third one has made it anew."""
    path, opened = tmp_path / "lock", []
    real = take.__globals__["os"].open

    def removed_once(name, *rest):
        handle = real(name, *rest)
        opened.append(handle)
        if len(opened) == 1:
            path.unlink()
        return handle

    monkeypatch.setattr("ctrfast.file_lock.os.open", removed_once)
    held = take(path)
    assert len(opened) == 2
    assert held == opened[1]
    assert take(path) is None
