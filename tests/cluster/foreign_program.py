"""Work that a foreign cluster refuses, or ends early, as a program of its own: it is a client of `CTRFAST_RAY_ADDRESS`.

python -m tests.cluster.foreign_program              # connects, and ends
python -m tests.cluster.foreign_program RAW OUT      # has work for two nodes of one CPU each
Prints JSON: what it was told.
"""

import json
import os
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil

from ctrfast.cluster import run_on_workers
from ctrfast.cluster_connection import connected
from ctrfast.cluster_tasks import task_pool
from ctrfast.config import ClusterConfig
from ctrfast.data.prepare import prepare
from ctrfast.errors import DataError
from ctrfast.schema import preset
from tests.cluster.told_errors import error_of

LONG_S = 150.0
START_S = 120.0  # of the work that can begin
BESIDE_S = 40.0  # until a second task has begun beside the first
BUSY_S = 11.0  # of the work that cannot; more than it is silent
OF_THIS_PROCESS = Path("/proc/self/cwd")  # a folder that another process sees as another one


def connect():
    with connected(ClusterConfig(workers=1)):
        pass


def await_file(file, most_s=LONG_S):
    """A task's wait, as Python's own code, which can be interrupted, waits."""
    deadline = time.monotonic() + most_s
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def fail_first(folder, item):
    """The first task fails once the second one has begun; the others take long."""
    (folder / f"begun-{item}").touch()
    if item == 0:
        await_file(folder / "begun-1", BESIDE_S)
        raise DataError("The first task must not fail.")
    await_file(folder / "never")
    (folder / f"ended-{item}").touch()


def of_a_failure(pool, folder):
    """The error of the first of six tasks, the seconds until it came, and who had begun and ended by then and later.

    Where Ray, as it did once on a busy machine, leaves the second one in a queue, it is tried again.
    """
    for number in range(4):
        told = once_of_a_failure(pool, folder.with_name(f"{folder.name}-{number}"))
        if "begun-1" in told[2]:
            break
    return told


def once_of_a_failure(pool, folder):
    folder.mkdir()
    began = time.monotonic()
    error = error_of(lambda: list(pool.in_order(partial(fail_first, folder), range(6))))
    took_s = time.monotonic() - began
    (folder / "never").touch()  # who is still at work ends now
    list(pool.in_order(time.sleep, [0.5, 0.5]))
    return error, took_s, sorted(file.name for file in folder.iterdir())


def occupy(folder, item):
    (folder / f"at-work-{item}").touch()
    await_file(folder / "go")


def of_a_busy_cluster(ray, folder):
    """The error where both CPUs are taken."""
    folder.mkdir()
    os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(BUSY_S)
    busy = [ray.remote(occupy).options(num_cpus=1).remote(folder, item) for item in range(2)]
    for item in range(2):
        await_file(folder / f"at-work-{item}")

    def work():
        with task_pool(1):
            pass

    error = error_of(work)
    (folder / "go").touch()
    ray.get(busy)
    return error


def train(workers, out, should_stop=lambda: False):
    """The error of a group of workers with nothing to do."""
    return error_of(
        lambda: run_on_workers(lambda *_: None, ClusterConfig(workers=workers), out, lambda _: None, should_stop)
    )


def of_a_stop(ray, out):
    """The error of a stop while three workers wait for two CPUs, the seconds to it, and what is left on the cluster."""
    os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(LONG_S)  # at each of four attempts
    began, asked = time.monotonic(), []

    def should_stop():
        groups = ray.util.placement_group_table().values()
        if any(group["state"] == "PENDING" for group in groups):
            asked.append(time.monotonic())
        return bool(asked)

    error = train(3, out, should_stop)
    took_s = time.monotonic() - (asked or [began])[0]
    states = {group["state"] for group in ray.util.placement_group_table().values()}
    return error, took_s, sorted(states)


def end_the_head_s_process(_):
    """In a task: kill the process that the head has for the one client that this cluster has."""
    nodes = next(each for each in psutil.Process().parents() if "tests.cluster.ray_nodes" in " ".join(each.cmdline()))
    servers = []
    for each in nodes.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has ended since
            if "--mode=specific-server" in each.cmdline():
                servers.append(each)
    newest = max(servers, key=psutil.Process.create_time)  # those of earlier clients end by themselves, later
    newest.kill()
    time.sleep(LONG_S)


def of_a_lost_head(pool):
    """The error of tasks whose client is cut off from the cluster."""
    return error_of(lambda: list(pool.in_order(end_the_head_s_process, range(6))))


def main(raw, out):
    os.chdir(out)
    told = {}
    with task_pool(2) as pool:
        told["shared"] = error_of(lambda: pool.require_shared(out))
        told["prepared"] = error_of(lambda: prepare([raw], preset("criteo"), OF_THIS_PROCESS / "data", pool=pool))
        told["trained"] = train(2, OF_THIS_PROCESS / "run")
        told["left"] = sorted(file.name for file in out.iterdir())
        told["failed"] = of_a_failure(pool, out / "failed")
        told["busy"] = of_a_busy_cluster(pool.connection.ray, out / "busy")
        os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = "1"  # at each of four attempts
        told["too_many"] = train(3, out / "run")
        told["stopped"] = of_a_stop(pool.connection.ray, out / "run")
        told["lost"] = of_a_lost_head(pool)  # the last: there is no cluster any more
    return told


if __name__ == "__main__":
    answer = main(*(Path(path).absolute() for path in sys.argv[1:])) if sys.argv[1:] else error_of(connect)
    sys.stdout.write(json.dumps(answer) + "\n")
