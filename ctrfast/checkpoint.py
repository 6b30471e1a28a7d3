"""Checkpoints: weights, moments and position of a run, as safetensors in a folder that is whole or absent.

`RUN/checkpoints/step-00000686/` holds `state.safetensors` and a manifest with its sha256, step and dataset hash. The
last two are kept: one that the disk damaged does not end the run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ctrfast.errors import ArtifactError
from ctrfast.folders import new_folder, read_manifest, verify_files, write_manifest

_KEPT = 2
_STATE = "state.safetensors"


def save_checkpoint(folder: Path, state: Mapping[str, tf.Variable], step: int, train_s: float) -> Path:
    """Write a checkpoint, then remove all but the last two.

    Args:
        folder: the run's `checkpoints` folder.
        state: all variables by name.
        step: optimizer steps taken.
        train_s: seconds of training so far, kept in the manifest.
    """
    out = folder / f"step-{step:08d}"
    if not out.exists():
        with new_folder(out) as partial:
            write_tensors(partial / _STATE, {name: np.asarray(variable) for name, variable in state.items()})
            write_manifest(partial, {"kind": "checkpoint", "format": 1, "step": step, "train_s": train_s})
    for old in _in_order(folder)[:-_KEPT]:
        shutil.rmtree(old)
    return out


def latest_checkpoint(folder: Path) -> tuple[Path, float] | None:
    """The newest whole checkpoint and its seconds of training, or `None` where there is none.

    Damaged ones on the way are removed, so that the run writes them again when it gets there.
    """
    for path in reversed(_in_order(folder)):
        try:
            manifest = read_manifest(path, "checkpoint")
            verify_files(path, manifest)
            return path, float(manifest["train_s"])
        except (ArtifactError, KeyError):
            shutil.rmtree(path)
    return None


def restore(path: Path, state: Mapping[str, tf.Variable]) -> None:
    """Set variables, all of a run's or some, from a checkpoint; the other tensors stay on disk.

    Raises:
        ArtifactError: a tensor is missing or has another shape.
    """
    for name, value in _read_tensors(path, list(state)).items():
        variable = state[name]
        if value.shape != tuple(variable.shape):
            raise ArtifactError(
                f"The tensor {name} of {path.name} must have shape {tuple(variable.shape)}. Got {value.shape}."
            )
        variable.assign(value)


def write_tensors(path: Path, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write a safetensors file that the umask's readers may read; the library leaves it to its owner alone."""
    save_file(dict(tensors), path)
    path.chmod(0o666 & ~_umask())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _read_tensors(path: Path, names: list[str]) -> dict[str, npt.NDArray[Any]]:
    try:
        with safe_open(path / _STATE, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"The checkpoint {path.name} cannot be read: {error}.") from error


def _in_order(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if path.is_dir())
