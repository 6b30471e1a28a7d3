"""A cluster of `CTRFAST_RAY_ADDRESS`: without its token, without a shared folder, without a free CPU; a task fails."""

import json
import os
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cluster.foreign_program import LONG_S, START_S
from tests.cluster.ray_nodes import ray_nodes

pytestmark = pytest.mark.timeout(1200)
TOKEN = secrets.token_hex(32)
OTHER_TOKENS = {"missing": None, "wrong": secrets.token_hex(32)}
NOBODY_S = "ray://127.0.0.1:1"


@pytest.fixture(scope="module")
def nodes():
    with ray_nodes(2, TOKEN) as nodes:
        yield nodes


def told(address, token, home, *options):
    """What the program prints, and its log. token: None for none."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "RAY_AUTH_MODE"},
        "CTRFAST_RAY_ADDRESS": address,
        "HOME": str(home),  # else Ray finds a token of its user
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else it asks for the host's own network address
        "RAY_CLIENT_RECONNECT_GRACE_PERIOD": "0",  # s; a head that is lost is lost at once
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(START_S),
        **({"RAY_AUTH_TOKEN": token} if token else {}),
    }
    program = [sys.executable, "-m", "tests.cluster.foreign_program", *options]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=1100)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.fixture(scope="module")
def worked(nodes, raw_clicks, tmp_path_factory):
    """What the program was told, and its log."""
    return told(nodes.address, TOKEN, tmp_path_factory.mktemp("home"), raw_clicks, tmp_path_factory.mktemp("out"))


@pytest.mark.parametrize(
    ("work", "folder"), [("prepared", "/proc/self/cwd"), ("trained", "/proc/self/cwd/.partial-cluster-run")]
)
def test_a_folder_must_be_shared(worked, work, folder):
    assert worked[0]["shared"] is None
    kind, message, path = worked[0][work]
    assert (kind, path) == ("ConfigError", "out")
    assert message.startswith(f"The folder {folder} must be shared by all nodes of the Ray cluster. Got 'No such file")
    assert "(127.0.0.1, " in message
    assert worked[0]["left"] == []


def test_a_failure_cancels_the_other_tasks(worked):
    error, took_s, files = worked[0]["failed"]
    assert error == ["DataError", "The first task must not fail.", None]
    assert took_s < LONG_S / 2
    assert {"begun-0", "begun-1"} <= set(files)
    assert not [name for name in files if name.startswith("ended-")]


def test_without_a_free_cpu_there_is_an_end(worked):
    kind, message, _ = worked[0]["busy"]
    assert kind == "WorkerLostError"
    assert message.startswith("The Ray cluster must have a free CPU within 11 s. Got none: 2 CPUs, all of them taken.")
    assert "Waiting up to 11 s for a free CPU of the Ray cluster: 2 CPUs, all of them taken." in worked[1]


def test_more_workers_than_cpus_cannot_train(worked):
    kind, message, _ = worked[0]["too_many"]
    assert kind == "WorkerLostError"
    assert message.startswith("The Ray cluster must start 3 workers. Got: The worker group startup timed out after 1")
    assert message.endswith(" Let other work end, or add nodes.")


def test_a_stop_ends_the_wait_for_workers(worked):
    error, took_s, groups = worked[0]["stopped"]
    assert error == ["Cancelled", "Stopped while workers were waited for; the run can be resumed.", None]
    assert took_s < LONG_S / 3  # of four times as long that Ray would wait
    assert groups == ["REMOVED"]  # nothing waits for CPUs any more
    assert error[1] not in worked[1]  # Ray's controller would print it with its traceback


def test_a_lost_head_is_told(worked):
    kind, message, _ = worked[0]["lost"]
    assert kind == "WorkerLostError"
    assert message.startswith("The connection to the Ray cluster's head must last. Got: ")


@pytest.fixture(scope="module")
def refused(nodes, worked, tmp_path_factory):
    """What programs are told that cannot connect, by address and token; most of their time they wait for an answer."""
    tries = [(address, token) for address in (nodes.own_address, nodes.address) for token in OTHER_TOKENS.values()]
    tries.append((NOBODY_S, TOKEN))
    homes = [tmp_path_factory.mktemp("home") for _ in tries]
    with ThreadPoolExecutor(len(tries)) as pool:
        answers = pool.map(lambda of, home: told(*of, home)[0], tries, homes)
        return dict(zip(tries, answers, strict=True))


@pytest.mark.parametrize("token", OTHER_TOKENS)
@pytest.mark.parametrize("of", ["address", "own_address"])
def test_the_token_must_be_the_cluster_s(nodes, refused, of, token):
    address = getattr(nodes, of)
    kind, message, path = refused[address, OTHER_TOKENS[token]]
    assert (kind, path) == ("ConfigError", "RAY_AUTH_TOKEN")
    assert message.startswith(f"The Ray cluster at {address} must be given its own token. Got another one, or none.")


def test_a_cluster_that_does_not_answer(refused):
    kind, message, _ = refused[NOBODY_S, TOKEN]
    assert kind == "WorkerLostError"
    assert message.startswith(f"The Ray cluster at {NOBODY_S} must answer. Got: ")
