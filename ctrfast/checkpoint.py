"""Checkpoints: weights, moments and position of a run, as safetensors in a folder that is whole or absent.

`RUN/checkpoints/step-00000686/` holds `state.safetensors` and a manifest with its sha256, its step, and the seal of the
run's own manifest: a checkpoint of another model, seed or dataset is refused. The last two are kept, so that one that
the disk damaged does not end the run; and the one with the best weights, where a run ends with those.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from safetensors import SafetensorError, safe_open

from ctrfast.errors import ArtifactError
from ctrfast.folders import new_folder, read_manifest, remove_partials, verify_files, write_manifest
from ctrfast.tensors import write_tensors

_KIND, _FORMAT = "checkpoint", 2
_KEPT = 2
_STATE = "state.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint. step: optimizer steps taken. train_s: seconds of training up to it."""

    path: Path
    step: int
    train_s: float

    @classmethod
    def open(cls, path: Path, run: str) -> Checkpoint:
        """Open a checkpoint.

        Args:
            path: its folder.
            run: seal of the run's manifest.

        Raises:
            ArtifactError: it is missing, was changed, or belongs to another run.
        """
        manifest = read_manifest(path, _KIND)
        verify_files(path, manifest)
        return cls._of(path, manifest, run)

    @classmethod
    def latest(cls, folder: Path, run: str) -> Checkpoint | None:
        """The newest whole checkpoint of a run's `checkpoints` folder, or `None` where there is none.

        Damaged ones on the way are removed, so that the run writes them again when it gets there.

        Raises:
            ArtifactError: it belongs to another run.
        """
        remove_partials(folder)
        for path in reversed(_in_order(folder)):
            try:
                manifest = read_manifest(path, _KIND)
                verify_files(path, manifest)
            except ArtifactError:
                shutil.rmtree(path)
                continue
            return cls._of(path, manifest, run)
        return None

    @classmethod
    def _of(cls, path: Path, manifest: Mapping[str, Any], run: str) -> Checkpoint:
        if manifest.get("format") != _FORMAT:
            raise ArtifactError(
                f"The checkpoint {path.name} must have format {_FORMAT}. Got {manifest.get('format')}. "
                "Train the run again with this version."
            )
        if manifest["run"] != run:
            raise ArtifactError(
                f"The checkpoint {path.name} belongs to another run: its settings or dataset differ. "
                f"Remove it from {path.parent}."
            )
        return cls(path, int(manifest["step"]), float(manifest["train_s"]))

    def restore(self, state: Mapping[str, tf.Variable | npt.NDArray[Any]]) -> None:
        """Set variables and arrays, all of a run's or some; the other tensors stay on disk.

        Raises:
            ArtifactError: a tensor is missing or has another shape.
        """
        for name, target in state.items():  # one at a time: together they are as large as the run
            value = self.tensors([name])[name]
            if value.shape != tuple(target.shape):
                raise ArtifactError(
                    f"The tensor {name} of {self.path.name} must have shape {tuple(target.shape)}. Got {value.shape}."
                )
            set_value(target, value)

    def tensors(self, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """Tensors by name.

        Raises:
            ArtifactError: one is missing.
        """
        try:
            with safe_open(self.path / _STATE, framework="numpy") as file:
                return {name: file.get_tensor(name) for name in names}
        except (OSError, SafetensorError) as error:
            raise ArtifactError(f"The checkpoint {self.path.name} cannot be read: {error}.") from error


def set_value(target: tf.Variable | npt.NDArray[Any], value: npt.NDArray[Any]) -> None:
    """Set a variable, or an array in place."""
    if isinstance(target, np.ndarray):
        target[...] = value
    else:
        target.assign(value)


def save_checkpoint(
    folder: Path,
    state: Mapping[str, tf.Variable | npt.NDArray[Any]],
    *,
    run: str,
    step: int,
    train_s: float,
    best: int | None = None,
) -> Path:
    """Write a checkpoint, then remove the old ones.

    Args:
        folder: the run's `checkpoints` folder.
        state: all variables and arrays by name.
        run: seal of the run's manifest.
        step: optimizer steps taken.
        train_s: seconds of training so far.
        best: step of the best weights so far; that checkpoint stays as long as this one.

    Raises:
        StorageError: the disk takes no more; the older checkpoints are as they were.
    """
    out = path_of(folder, step)
    if not out.exists():
        with new_folder(out) as partial:
            write_tensors(partial / _STATE, state)
            position = {"run": run, "step": step, "train_s": train_s, "best": best}
            write_manifest(partial, {"kind": _KIND, "format": _FORMAT, **position})
    in_order = _in_order(folder)
    bests = {_best_of(path) for path in in_order[-_KEPT:]}
    for old in in_order[:-_KEPT]:
        if old not in bests:
            shutil.rmtree(old)
    return out


def _best_of(path: Path) -> Path | None:
    """The best checkpoint when this one was written; a damaged one knows of none."""
    try:
        best = read_manifest(path, _KIND)["best"]
    except (ArtifactError, KeyError):
        return None
    return None if best is None else path_of(path.parent, int(best))


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step is."""
    return folder / f"step-{step:08d}"


def _in_order(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if path.is_dir())
