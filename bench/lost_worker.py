"""The time that a run of two workers loses with one of them: `kill -9` of the second, until a step is taken again.

    measure(config, data, Path("build/bench/lost"))      # {"start_s": 31.0, "anew_s": 24.0, "recover_s": 33.0}

All is told by files of that folder, written by the workers as they come by: they are processes of two groups, of which
the first is killed in part and ended for the rest. Times are those of this machine's clock.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from ctrfast.cluster import run_on_workers
from ctrfast.cluster_connection import connected
from ctrfast.config import TrainConfig
from ctrfast.data.shards import Dataset
from ctrfast.errors import Cancelled
from ctrfast.train import work_on
from ctrfast.workers import Workers

CHECKPOINT_EVERY = 2
LOST_AFTER = 3  # steps; one of them is to be taken again
_STEPPED, _KILLED, _BEGUN_ANEW, _STEPPED_ANEW = "stepped", "killed", "begun-anew", "stepped-anew"


def measure(config: TrainConfig, data: Path, folder: Path) -> dict[str, float]:
    """Train with a loss.

    Args:
        config: of a run of two workers that saves a checkpoint each `CHECKPOINT_EVERY` steps, of which it takes more
            than `LOST_AFTER` + 2.
        data: the dataset's folder, absolute.
        folder: for the run and the times, absolute; what is there is removed.

    Returns: seconds. start_s: from the wish to train to the first step of all. anew_s: from the kill to the moment at
        which workers begin anew. recover_s: from the kill to the end of the first step after it.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    work = partial(lose_one, config, data, Dataset.open(data, verify=False).hash, folder)
    began = time.time()
    with connected(config.cluster), suppress(Cancelled):
        run_on_workers(work, config.cluster, folder / "run", lambda _: None, lambda: False)
    at = {name: float((folder / name).read_text()) for name in (_STEPPED, _KILLED, _BEGUN_ANEW, _STEPPED_ANEW)}
    return {
        "start_s": at[_STEPPED] - began,
        "anew_s": at[_BEGUN_ANEW] - at[_KILLED],
        "recover_s": at[_STEPPED_ANEW] - at[_KILLED],
    }


def lose_one(
    config: TrainConfig, data: Path, seal: str, folder: Path, workers: Workers, _tell: object, _stop: object
) -> None:
    """A worker: it trains, and notes when it comes by; the second one is killed, once."""
    is_anew = (folder / _KILLED).exists()
    steps = 0

    def note(name: str) -> None:
        (folder / name).write_text(str(time.time()))

    def before_a_step() -> bool:
        nonlocal steps
        if steps == 1 and workers.is_chief:
            note(_STEPPED_ANEW if is_anew else _STEPPED)
        if steps == LOST_AFTER and workers.index == 1 and not is_anew:
            note(_KILLED)
            os.kill(os.getpid(), signal.SIGKILL)
        steps += 1
        return is_anew and steps > 1  # all is known

    if workers.is_chief and is_anew:
        note(_BEGUN_ANEW)
    work_on(data, seal, config, folder / "run", None, workers, lambda _: None, before_a_step)
