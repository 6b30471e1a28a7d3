"""A run's checkpoints in the object store while it trains, so that another machine can go on with it.

    with mirrored(Path("runs/first"), address):
        train(...)

Each new checkpoint is copied by a thread, with the files that the run has so far; what was copied before is replaced. A
store that is away does not stop the training: it is told in the log, and tried again at the next look.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ctrfast.errors import CtrFastError, StoreUnavailableError
from ctrfast.folders import PARTIAL, kind_of
from ctrfast.store.address import Address
from ctrfast.store.artefacts import UNFINISHED, copy_to, find, publish_unfinished

log = logging.getLogger("ctrfast.store")

_LOOK_S = 2.0
_CHECKPOINTS = "checkpoints"


@contextmanager
def mirrored(run: Path, address: Address) -> Iterator[None]:
    """Copy each new checkpoint of a run while the block runs, and what is new at its end."""
    mirror = _Mirror(run, address)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_LOOK_S):
            mirror.look()

    thread = threading.Thread(target=watch, name="checkpoints to the store")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        mirror.look()


def take_up(address: Address, run: Path) -> None:
    """Make a run folder what the store has of the run, if that is further on than the folder."""
    stored = find(address) or find(address, UNFINISHED)
    if stored is None:
        return
    steps = {name.split("/")[1] for name in stored.files if name.startswith(f"{_CHECKPOINTS}/")}
    if max(steps, default="") > max(_steps(run), default=""):
        shutil.rmtree(run, ignore_errors=True)
        copy_to(stored, run)


def _steps(run: Path) -> set[str]:
    return {path.name for path in (run / _CHECKPOINTS).glob("step-*")}


class _Mirror:
    def __init__(self, run: Path, address: Address) -> None:
        self._run = run
        self._address = address
        self._copied: set[str] = set()

    def look(self) -> None:
        """Copy the run if it has a checkpoint that was not there at the last copy."""
        there = _steps(self._run)
        if there <= self._copied or kind_of(self._run) is None:
            return
        try:
            with _as_it_is(self._run) as folder:
                publish_unfinished(folder, self._address)
        except FileNotFoundError:
            return  # an old checkpoint was removed meanwhile: the next look sees those that are there then
        except StoreUnavailableError as error:
            log.warning("a checkpoint is not in the store yet: %s", error.message)
            return
        except (CtrFastError, OSError) as error:
            log.warning("checkpoints stay on this machine: %s", error)
        self._copied = there


@contextmanager
def _as_it_is(run: Path) -> Iterator[Path]:
    """A folder with the run's files of this moment, while it is written on; checkpoints are links, the rest copies.

    Records that are newer than the last checkpoint do not matter: they are dropped when the run goes on from it.
    """
    folder = run.parent / f"{PARTIAL}{run.name}-mirror"
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
    try:
        for file in sorted(run.rglob("*")):  # "checkpoints" come before "metrics.jsonl"
            name = file.relative_to(run)
            if not file.is_file() or any(part.startswith(".") for part in name.parts):
                continue
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if name.parts[0] == _CHECKPOINTS:
                os.link(file, folder / name)
            else:
                shutil.copyfile(file, folder / name)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
