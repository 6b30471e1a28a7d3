"""Preparation by two workers, as a program of its own: Ray takes over a part of the process that it is started in.

python -m tests.cluster.tasks_program RAW OUT
OUT/here and OUT/workers hold datasets that threads and workers made; those of OUT/hurt were made by workers that were
killed, once in each stage, with what they wrote still under its temporary name. One worker of the same Ray trains
OUT/alone on OUT/dataset. Prints what the tests look at, as JSON.
"""

import json
import os
import secrets
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from ctrfast.cluster_tasks import task_pool
from ctrfast.data import parsed
from ctrfast.data.pool import THREADS
from ctrfast.data.prepare import prepare
from ctrfast.data.raw import chunks_of
from ctrfast.errors import Cancelled, DataError
from ctrfast.schema import preset
from ctrfast.train import train
from tests import list_clicks, tiny_clicks
from tests.cluster.connections import peers_of
from tests.cluster.told_errors import error_of

MANY = 400  # tasks, of which a signal leaves most undone
LATE_S = 90.0  # longer than it takes to cancel a task again


class KilledOnce:
    """Does tasks with workers of which one at least is killed at each call, at its first rename."""

    processes = 2
    threads = 1

    def __init__(self, pool, folder):
        self.pool, self.folder, self.calls = pool, folder, 0

    def require_shared(self, folder):
        self.pool.require_shared(folder)

    def in_order(self, function, items):
        self.calls += 1
        return self.pool.in_order(partial(_die_once, function, self.folder / f"died-{self.calls}"), items)


def _die_once(function, marker, item):
    if not marker.exists():
        marker.touch()
        Path.replace = lambda *_: _die()
    return function(item)


def _die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def _refuse(item):
    raise DataError(f"The task {item} must not fail.", path="raw")


def _with_another(folder, item):
    """Whose process this is; the first item waits until another process has begun one."""
    (folder / f"{os.getpid()}").touch()
    until = time.monotonic() + 300
    while item == 0 and len(list(folder.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.1)
    return item, os.getpid()


def _touch_late(folder, item):
    until = time.monotonic() + (LATE_S if item else 0.3)
    while time.monotonic() < until:
        time.sleep(0.05)  # short waits, which a cancellation ends
    (folder / str(item)).touch()


def make_datasets(raw, out, pool):
    """Text with numbers and ids; lists as parquet; the first with its vocabularies grown. Paths may be relative."""
    out.mkdir()
    prepare([raw], preset("criteo"), out / "text", min_count=3, pool=pool)
    prepare(["lists.parquet"], list_clicks.SCHEMA, out / "lists", split="sequential", pool=pool)
    prepare([raw], preset("criteo"), out / "grown", vocabulary_from=out / "text", grow=True, pool=pool)


def stopped_early(pool, folder):
    """Items that were taken; files that their tasks had left when the generator was closed, and later; the time it took
    to close, in seconds.
    """
    folder.mkdir()
    taken = []
    items = (taken.append(item) or item for item in range(100))
    with closing(pool.in_order(partial(_touch_late, folder), items)) as done:
        next(done)
        began = time.monotonic()
    took_s = time.monotonic() - began
    counts = len(taken), len(list(folder.iterdir()))
    time.sleep(1.0)
    return *counts, len(list(folder.iterdir())), took_s


def stop(*_):
    raise Cancelled("Stopped.")


def ended_by_signal(pool):
    """The error of the handler that SIGTERM calls while tasks are waited for, and how many of `MANY` were done."""
    threading.Timer(1.0, partial(os.kill, os.getpid(), signal.SIGTERM)).start()
    done = []
    error = error_of(lambda: done.extend(pool.in_order(time.sleep, [0.5] * MANY)))
    return error, len(done)


@contextmanager
def whom_we_talk_to():
    """Those at the other ends of this process's connections and of those that it has started, seen once a second."""
    peers, over = set(), threading.Event()

    def look():
        while not over.wait(1.0):
            peers.update(peers_of(psutil.Process()))

    with ThreadPoolExecutor(1) as watch:
        looks = watch.submit(look)
        try:
            yield peers
        finally:
            over.set()
        looks.result()


def main(raw, out):
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    os.chdir(out)
    parsed.chunks_of = partial(chunks_of, rows_per_block=1000)
    columns = zip(list_clicks.SCHEMA.columns, zip(*list_clicks.learnable(3000), strict=True), strict=True)
    pq.write_table(pa.table(dict(columns)), "lists.parquet")
    make_datasets(raw, Path("here"), THREADS)
    told = {}
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell's script starts what is to run in the background
    with task_pool(2) as pool:
        with whom_we_talk_to() as peers:
            make_datasets(raw, Path("workers"), pool)
        fragile = KilledOnce(pool, out)
        make_datasets(raw, Path("hurt"), fragile)
        told["calls"] = fragile.calls
        (out / "begun").mkdir()
        told["results"] = list(pool.in_order(partial(_with_another, out / "begun"), range(8)))
        told["refused"] = error_of(lambda: list(pool.in_order(_refuse, [1, 2])))
        told["lost"] = error_of(lambda: list(pool.in_order(_die, [1])))
        told["stopped_early"] = stopped_early(pool, out / "late")
        told["signal"] = ended_by_signal(pool)
        dataset = tiny_clicks.make_dataset(out, tiny_clicks.learnable(1500))
        alone = tiny_clicks.settings(cluster={"workers": 1})

        def look_and_go_on():  # asked while the worker lives
            peers.update(peers_of(psutil.Process()))
            return False

        train(dataset, alone, out / "alone", should_stop=look_and_go_on)
    told |= {"pid": os.getpid(), "peers": sorted(peers)}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*(Path(path).absolute() for path in sys.argv[1:]))
