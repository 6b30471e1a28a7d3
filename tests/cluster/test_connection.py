"""A head that cannot start a process for this client, now or at all; one with another Ray or Python."""

import logging
import platform

import pytest
import ray
from ray._private.utils import check_version_info

from ctrfast import cluster_connection
from ctrfast.cluster_connection import connected
from ctrfast.config import ClusterConfig
from ctrfast.errors import ConfigError, WorkerLostError

ADDRESS = "ray://head:10001"
# As Ray 2.60 told of its head's process that had died, seen on a busy machine: in one of two places, by chance.
NO_SERVER = """Initialization failure from server:
Traceback (most recent call last):
  File "/ray/util/client/server/proxier.py", line 769, in Datapath
    raise RuntimeError(
RuntimeError: Starting Ray client server failed. See ray_client_server_23000.err for detailed logs.

"""
ZOMBIE = """Initialization failure from server:
Traceback (most recent call last):
  File "/ray/util/client/server/proxier.py", line 765, in Datapath
    if not self.proxy_manager.start_specific_server(
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/ray/util/client/server/proxier.py", line 396, in start_specific_server
    cmd = psutil_proc.cmdline()
          ^^^^^^^^^^^^^^^^^^^^^
psutil.ZombieProcess: PID still exists but it's a zombie (pid=26249)

"""
OTHER = "Initialization failure from server:\nTraceback (most recent call last):\nValueError: no such namespace\n"


@pytest.fixture
def joining(monkeypatch):
    """Connects to a head whose answers are given; returns how often it was asked."""
    monkeypatch.setenv("CTRFAST_RAY_ADDRESS", ADDRESS)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "600")
    monkeypatch.setattr(cluster_connection, "_knock", lambda _: None)
    monkeypatch.setattr(cluster_connection, "_PAUSES_S", (0.0, 0.0))
    asked = []

    def join(*answers):
        def init(address):
            asked.append(address)
            answer = answers[min(len(asked), len(answers)) - 1]
            if answer is not None:
                raise answer

        monkeypatch.setattr(ray, "init", init)
        with connected(ClusterConfig(workers=1)) as connection:
            assert connection.ray is ray and not connection.is_own

    return join, asked


def told(caplog):
    """What the module has logged; other tests' services may log too."""
    return [record.getMessage() for record in caplog.records if record.name == cluster_connection.__name__]


@pytest.mark.parametrize("text", [NO_SERVER, ZOMBIE], ids=["ended", "zombie"])
def test_a_head_that_could_not_start_a_process_is_asked_again(joining, caplog, text):
    join, asked = joining
    with caplog.at_level(logging.WARNING):
        join(ConnectionAbortedError(text), None)
    assert asked == [ADDRESS, ADDRESS]
    assert told(caplog) == [
        f"The Ray cluster's head: {text.strip().splitlines()[-1].removesuffix('.')}. Asking again in 0 s."
    ]


def test_three_times_at_most(joining, caplog):
    join, asked = joining
    with pytest.raises(WorkerLostError) as lost:
        join(ConnectionAbortedError(NO_SERVER))
    assert len(asked) == 3 and len(told(caplog)) == 2
    assert lost.value.message == (
        f"The head of the Ray cluster at {ADDRESS} must start a process for this one. Got: RuntimeError: Starting Ray "
        "client server failed. See ray_client_server_23000.err for detailed logs. See its logs, and start the work "
        "again."
    )


def test_another_refusal_is_told_at_once(joining):
    join, asked = joining
    with pytest.raises(WorkerLostError, match=r"Got: ValueError: no such namespace\. "):
        join(ConnectionAbortedError(OTHER))
    assert len(asked) == 1


@pytest.mark.parametrize(("rays", "python"), [("2.9.3", platform.python_version()), (ray.__version__, "3.8.1")])
def test_another_ray_or_python_is_named(joining, rays, python):
    join, asked = joining
    with pytest.raises(RuntimeError) as mismatch:
        check_version_info({"ray_version": rays, "python_version": python}, "Ray Client")
    with pytest.raises(ConfigError) as refused:
        join(mismatch.value)
    assert len(asked) == 1 and refused.value.path == "cluster"
    assert refused.value.message == (
        f"The Ray cluster at {ADDRESS} must have the Ray and the Python of this process. Got Ray {rays} with Python "
        f"{python} there, Ray {ray.__version__} with Python {platform.python_version()} here. Install the same on all "
        "nodes and here."
    )


def test_other_errors_are_not_hidden(joining):
    with pytest.raises(RuntimeError, match="something else"):
        joining[0](RuntimeError("something else"))
