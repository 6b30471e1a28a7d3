"""FuxiCTR's DeepFM as its users run it: the parts of the package, and the `train_step` of its `BaseModel`.

The package ships the parts and not the network, which its users assemble in this way. As there, numeric fields have an
embedding too (the MLP's input is 39 x 10 wide) and gradients are clipped by their global norm; there is no CowClip.
Without its embedding regularizer, which is the faster case.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path

import torch
from fuxictr.features import FeatureMap
from fuxictr.pytorch.layers import FactorizationMachine, FeatureEmbedding, MLP_Block
from fuxictr.pytorch.models import BaseModel

from bench.peers.fuxictr_features import describe, inputs
from bench.turns import Turns, answering
from bench.workload import HELD_ROWS, HIDDEN, LR_DENSE, NUMBERS, SEED, WIDTH, Rows, field_sizes

_MAX_GRADIENT_NORM = 10.0  # what `fit` sets where its user does not


class DeepFM(BaseModel):
    """FM and MLP on the same embeddings."""

    def __init__(self, feature_map: FeatureMap, folder: str) -> None:
        super().__init__(feature_map, model_id="DeepFM", verbose=0, model_root=folder, metrics=["AUC"])
        self.embeddings = FeatureEmbedding(feature_map, WIDTH)
        self.fm = FactorizationMachine(feature_map)
        self.mlp = MLP_Block(
            input_dim=feature_map.sum_emb_out_dim(),
            output_dim=1,
            hidden_units=list(HIDDEN),
            hidden_activations="ReLU",
            output_activation=None,
        )
        self.compile("adam", "binary_crossentropy", LR_DENSE)
        self.reset_parameters()
        self._max_gradient_norm = _MAX_GRADIENT_NORM

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A batch by feature name -> probabilities (B, 1)."""
        features = self.get_inputs(inputs)
        embedded = self.embeddings(features)  # (B, F + N, D)
        logits = self.fm(features, embedded) + self.mlp(embedded.flatten(start_dim=1))
        return {"y_pred": self.output_activation(logits)}


def main(turns: Turns) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--ids", type=int, required=True)
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    rows = Rows.read(arguments.data)
    with tempfile.TemporaryDirectory() as folder:
        model = DeepFM(describe(field_sizes(arguments.ids), NUMBERS, WIDTH), folder)
    model.train()
    count = HELD_ROWS // arguments.batch_size
    source = itertools.cycle([inputs(rows.batch(index, arguments.batch_size)) for index in range(count)])
    turns.serve(lambda: model.train_step(next(source)).item())


if __name__ == "__main__":
    with answering() as turns:
        main(turns)
