"""Which run folder is whose: a run is known by its config and dataset, whatever it is called and whoever made it.

An identical run is therefore never repeated, also where several sweeps share a folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from ctrfast.config import TrainConfig
from ctrfast.folders import kind_of, read_manifest

_DIGITS = 8


def run_key(config: TrainConfig, dataset_hash: str) -> str:
    """A digest of all that a run follows from."""
    return hashlib.sha256(f"{config.model_dump_json()}\n{dataset_hash}".encode()).hexdigest()


class Places:
    """The run folders below one folder, by key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = dict(_existing(folder))

    def name(self, wanted: str, key: str) -> str:
        """The name of the run with this key: its own, else the wanted one, with a digest where that is taken."""
        if key not in self._names:
            is_taken = wanted in self._names.values() or (self._folder / wanted).exists()
            self._names[key] = f"{wanted}-{key[:_DIGITS]}" if is_taken else wanted
        return self._names[key]


def _existing(folder: Path) -> Iterator[tuple[str, str]]:
    """Key and name of each run, finished or not. What cannot be read is no run to go on with: its name stays taken."""
    for run in sorted(folder.iterdir()):
        if kind_of(run) != "run":
            continue
        try:
            config = TrainConfig.model_validate_json((run / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            continue
        yield run_key(config, str(read_manifest(run, "run")["dataset"])), run.name
