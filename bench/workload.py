"""The work that all systems are timed on: one network, one set of rows, one start. Needs numpy alone.

    DeepFM, D = 10, MLP 400-400-400, 26 id fields, 13 numbers, 1,067,398 ids in all

Field sizes are lognormal, as those of real click logs are: a few fields hold nearly all ids. Within a field the ids are
skewed as u^4 for uniform u: id 0 of a field of n ids has a share of n^(-1/4), and most ids are rare.

    sizes = field_sizes(TABLE_ROWS)
    rows = draw_rows(np.random.default_rng(SEED), sizes, 65_536)
    write_arrays(folder, [rows]); arrays = Rows.read(folder)         # for systems that train from memory
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

FIELDS, NUMBERS, WIDTH, HIDDEN = 26, 13, 10, (400, 400, 400)
TABLE_ROWS = 1_067_398
LAYERS = (FIELDS * WIDTH + NUMBERS, *HIDDEN, 1)  # widths of the MLP, from its input to the logit
LR_DENSE, LR_EMBED, L2, CLIP_RATIO, BOUND, EPSILON = 1e-3, 1e-4, 1e-5, 1.0, 1e-5, 1e-7
SEED = 1
CHECKED_STEPS = 3  # whose losses are compared between systems that do the same arithmetic
HELD_ROWS = 524_288  # that a system without an input of its own keeps in memory and takes again and again

_SMALLEST_FIELD = 4
_SPREAD = 3.0  # of the logarithms of the field sizes; Criteo's fields lie between 4 ids and 10 million


@dataclass(frozen=True)
class Rows:
    """ids (R, F) int32, local to the field; numbers (R, N) float32; labels (R,) float32."""

    ids: npt.NDArray[np.int32]
    numbers: npt.NDArray[np.float32]
    labels: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: int, batch_size: int) -> Rows:
        """Batch number `index`, counted around the rows' end."""
        start = index % (len(self) // batch_size) * batch_size
        return Rows(*(getattr(self, part.name)[start : start + batch_size] for part in fields(self)))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What `write_arrays` wrote; pages of the files, which the systems share, come into memory as they are read."""
        return cls(*(np.load(folder / f"{part.name}.npy", mmap_mode="r") for part in fields(cls)))


def write_arrays(folder: Path, blocks: Sequence[Rows]) -> None:
    """Write rows as one `.npy` file per part."""
    for part in fields(Rows):
        np.save(folder / f"{part.name}.npy", np.concatenate([getattr(block, part.name) for block in blocks]))


def field_sizes(total: int) -> list[int]:
    """Ids per field, `total` in all."""
    shares = np.random.default_rng(SEED).lognormal(sigma=_SPREAD, size=FIELDS)
    sizes = np.maximum(_SMALLEST_FIELD, np.floor(shares / shares.sum() * total)).astype(int)
    sizes[np.argmax(sizes)] += total - sizes.sum()
    return [int(size) for size in sizes]


def draw_rows(rng: np.random.Generator, sizes: Sequence[int], rows: int) -> Rows:
    """Rows of skewed ids, normal numbers and labels of rate 1/4."""
    uniform = rng.random((rows, len(sizes)))
    ids = (np.square(np.square(uniform)) * np.asarray(sizes)).astype(np.int32)  # u^4; `**` takes ten times as long
    numbers = rng.standard_normal((rows, NUMBERS), np.float32)
    return Rows(ids, numbers, (rng.random(rows) < 0.25).astype(np.float32))


def start_table(sizes: Sequence[int]) -> npt.NDArray[np.float32]:
    """The first embeddings, (V, D), normal of deviation 1e-2; linear weights start at 0."""
    rng = np.random.default_rng(SEED)
    return rng.standard_normal((sum(sizes), WIDTH), np.float32) * np.float32(1e-2)


def start_kernels() -> list[npt.NDArray[np.float32]]:
    """The MLP's first kernels, Glorot uniform; biases start at 0."""
    rng = np.random.default_rng(SEED)
    return [
        rng.uniform(-1, 1, (m, n)).astype(np.float32) * np.float32((6 / (m + n)) ** 0.5) for m, n in pairwise(LAYERS)
    ]


def offsets(sizes: Iterable[int]) -> npt.NDArray[np.int32]:
    """First row of each field in a table for all fields, (F,)."""
    return np.concatenate(([0], np.cumsum(list(sizes))[:-1])).astype(np.int32)
