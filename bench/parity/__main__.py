"""Make the golden files anew: `make parity`, or python -m bench.parity --fuxictr CHECKOUT in the peers' environment."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import bench.peers  # before TensorFlow is imported  # noqa: F401
from bench.parity import deepctr_heads, deepctr_weights, fuxictr_weights, torchrec_weights

_LEAST_SPREAD, _LARGEST = 0.1, 30.0  # of the logits: to show something, and to have five decimals in float32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fuxictr", type=Path, default=Path("build/fuxictr"), help="checkout of its repository")
    parser.add_argument("--out", type=Path, default=Path("tests/golden/parity"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    of_deepctr = deepctr_weights.goldens() | deepctr_heads.goldens()
    goldens = of_deepctr | torchrec_weights.goldens() | fuxictr_weights.goldens(arguments.fuxictr)
    for name, golden in goldens.items():
        if not (np.min(np.std(golden.logits, axis=0)) > _LEAST_SPREAD and np.abs(golden.logits).max() < _LARGEST):
            raise SystemExit(f"The logits of {name} show too little: {golden.logits}. Draw other weights.")
        golden.save(arguments.out / f"{name}.npz")
        print(f"{name}: {golden.peer}, {golden.peer_parameters:,} parameters, logits of sd {np.std(golden.logits):.2f}")


if __name__ == "__main__":
    main()
