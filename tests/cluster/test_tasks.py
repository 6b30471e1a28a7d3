"""Two workers prepare the dataset that threads do, byte for byte, also where they are killed; one trains; refusals."""

import importlib.util
import json
import subprocess
import sys

import pytest

from ctrfast import cluster_tasks
from ctrfast.cluster_tasks import task_pool
from ctrfast.data.pool import THREADS
from ctrfast.data.shards import Dataset
from ctrfast.errors import ConfigError, DependencyError
from ctrfast.folders import whole_file
from ctrfast.train import train
from tests import tiny_clicks
from tests.cluster.connections import strangers_among
from tests.cluster.tasks_program import LATE_S, MANY

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def made(raw_clicks, tmp_path_factory):
    """The folder of the program's datasets, and what it told."""
    out = tmp_path_factory.mktemp("tasks")
    program = [sys.executable, "-m", "tests.cluster.tasks_program", raw_clicks, out]
    done = subprocess.run(program, capture_output=True, text=True, timeout=1100)
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout.splitlines()[-1])


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", ["text", "lists", "grown"])
@pytest.mark.parametrize("by", ["workers", "hurt"])
def test_the_same_bytes(made, by, name):
    out, told = made
    assert len(content(out / "here" / name)) > 5
    assert content(out / by / name) == content(out / "here" / name)
    assert not list(out.rglob(".*.prepare"))
    if by == "hurt":
        assert sorted(path.name for path in out.glob("died-*")) == [f"died-{n}" for n in range(1, told["calls"] + 1)]
        assert told["calls"] == 9  # three stages of three datasets


def test_results_come_in_the_order_of_their_items_from_two_processes(made):
    told = made[1]
    assert [item for item, _ in told["results"]] == list(range(8))
    processes = {process for _, process in told["results"]}
    assert len(processes) == 2 and told["pid"] not in processes


def test_the_error_of_a_task_is_the_caller_s(made):
    assert made[1]["refused"] == ["DataError", "The task 1 must not fail.", "raw"]


def test_a_task_that_ends_each_of_its_workers_is_given_up(made):
    kind, message, _ = made[1]["lost"]
    assert kind == "WorkerLostError"
    assert message.startswith("A task must not lose its worker more than 3 times. The last loss: ")


def test_nothing_is_at_work_once_it_is_closed(made):
    taken, then, later, took_s = made[1]["stopped_early"]
    assert 1 <= then == later < taken <= 4  # the last one, at least, was cancelled
    assert took_s < LATE_S / 2  # so was the one at work


def test_a_signal_ends_the_wait(made):
    error, done = made[1]["signal"]
    assert error == ["Cancelled", "Stopped.", None]
    assert done < MANY


def test_the_workers_talk_on_loopback_alone(made):
    peers = {(address, command) for address, command in made[1]["peers"]}
    words = {word for _, command in peers for word in command.replace("/", " ").split()}
    assert "raylet" in words and any(word.startswith("ray::") for word in words)
    assert not strangers_among(peers)


def test_one_worker_trains_the_run_of_a_process_alone(made):
    out, told = made
    assert any("RayTrainWorker" in command for _, command in told["peers"])  # it is a worker of Ray, too
    train(Dataset.open(out / "dataset"), tiny_clicks.settings(), out / "plain")
    tiny_clicks.same_run(out / "plain", out / "alone")


def test_a_task_s_file_is_on_the_disk_before_it_appears(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("ctrfast.folders.sync", lambda path: synced.append((path.read_text(), names(tmp_path))))

    def write(name):
        with whole_file(tmp_path / name) as partial:
            partial.write_text(name)
        return partial.name

    def names(folder):
        return sorted(path.name for path in folder.iterdir())

    write("by a thread")
    assert not synced
    partial = cluster_tasks._do(write, "by a task")
    assert synced == [("by a task", [partial, "by a thread"])]
    assert names(tmp_path) == ["by a task", "by a thread"]
    write("by a thread again")
    assert len(synced) == 1


@pytest.mark.parametrize("workers", [0, -1, 1025])
def test_bad_worker_counts(workers):
    with (
        pytest.raises(ConfigError, match=rf"`workers` must be between 1 and 1024\. Got workers={workers}\.") as refused,
        task_pool(workers),
    ):
        pass
    assert refused.value.path == "workers"


def test_without_ray_the_extra_is_named(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else find(name, *rest))
    with pytest.raises(DependencyError, match=r"`workers` needs Ray.*ctrfast\[cluster\]") as refused, task_pool(2):
        pass
    assert refused.value.path == "workers"
    with task_pool(None) as pool:
        assert pool is THREADS
