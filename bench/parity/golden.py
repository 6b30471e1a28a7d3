"""A golden file: a peer's weights under our names, rows, and the peer's logits for them. Needs numpy alone.

Golden(...).save(folder / "dcn.npz")
golden = Golden.load(folder / "dcn.npz")
golden.weights["mlp.kernels.0"]      # of the attribute model.mlp.kernels[0]
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_WEIGHT = "weight:"


@dataclass(frozen=True)
class Golden:
    """What a peer computes.

    model: settings of our network. peer: whose network, with its version, and what was set in it. peer_parameters: all
    of its weights, embeddings too. differences: by reason, how many weights ours has more, or fewer (negative).
    ids (R, F) int32, rows of the fused table; numbers (R, N). table (V, D+1). weights: by attribute path. logits (R,),
    of several labels (R, T).
    """

    model: Mapping[str, Any]
    peer: str
    peer_parameters: int
    differences: Mapping[str, int]
    ids: Array
    numbers: Array
    table: Array
    weights: Mapping[str, Array]
    logits: Array

    def save(self, path: Path) -> None:
        """Write it; the same content gives the same bytes."""
        about = {
            "model": dict(self.model),
            "peer": self.peer,
            "peer_parameters": self.peer_parameters,
            "differences": dict(self.differences),
        }
        arrays = {"ids": self.ids, "numbers": self.numbers, "table": self.table, "logits": self.logits}
        weights = {f"{_WEIGHT}{name}": weight.astype(np.float32) for name, weight in self.weights.items()}
        np.savez_compressed(path, about=np.array(json.dumps(about)), **arrays, **weights)

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote."""
        with np.load(path) as stored:
            weights = {name.removeprefix(_WEIGHT): stored[name] for name in stored if name.startswith(_WEIGHT)}
            arrays = {name: stored[name] for name in ("ids", "numbers", "table", "logits")}
            return cls(**json.loads(str(stored["about"])), **arrays, weights=weights)
