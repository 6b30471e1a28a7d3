"""DeepCTR's DeepFM on the workload, its inputs from memory, for the programs that time it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import requests
import tensorflow as tf

from bench.workload import FIELDS, HELD_ROWS, HIDDEN, NUMBERS, SEED, WIDTH, Rows, field_sizes

ID_NAMES = [f"C{index}" for index in range(1, FIELDS + 1)]
NUMBER_NAMES = [f"I{index}" for index in range(1, NUMBERS + 1)]
Inputs = dict[str, npt.NDArray[Any]]


def arguments() -> tuple[Rows, int, list[int]]:
    """The command line of a DeepCTR program: its rows, batch size, and field sizes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--ids", type=int, required=True)
    given = parser.parse_args()
    return Rows.read(given.data), given.batch_size, field_sizes(given.ids)


def build_deepfm(sizes: list[int], l2: float) -> tf.keras.Model:
    """The DeepFM of DeepCTR; `l2` of all embeddings and linear weights, as a term of the loss."""
    requests.get = refuse  # DeepCTR asks the package index for its newest version when it is imported
    from deepctr.feature_column import DenseFeat, SparseFeat
    from deepctr.models import DeepFM

    ids = [SparseFeat(name, size, embedding_dim=WIDTH) for name, size in zip(ID_NAMES, sizes, strict=True)]
    columns = [*ids, *(DenseFeat(name, 1) for name in NUMBER_NAMES)]
    return DeepFM(
        columns, columns, dnn_hidden_units=HIDDEN, l2_reg_linear=l2, l2_reg_embedding=l2, l2_reg_dnn=0, seed=SEED
    )


def inputs(rows: Rows) -> tuple[Inputs, npt.NDArray[np.float32]]:
    """Columns by name, each (R, 1), and labels (R, 1)."""
    ids = {name: rows.ids[:, index, np.newaxis] for index, name in enumerate(ID_NAMES)}
    numbers = {name: rows.numbers[:, index, np.newaxis] for index, name in enumerate(NUMBER_NAMES)}
    return {**ids, **numbers}, rows.labels[:, np.newaxis]


def endless(rows: Rows, batch_size: int) -> Iterator[tuple[Inputs, tf.Tensor]]:
    """The batches of the first rows again and again, each a ready piece of memory: next to no work of an input."""
    held = HELD_ROWS // batch_size * batch_size
    columns, labels = inputs(rows.batch(0, held))
    by_batch = {name: column.reshape(-1, batch_size, 1) for name, column in columns.items()}
    return iter(tf.data.Dataset.from_tensor_slices((by_batch, labels.reshape(-1, batch_size, 1))).repeat())


def refuse(*_: object, **__: object) -> None:
    """In the place of a request to the network."""
    raise ConnectionError("No network in a benchmark.")
