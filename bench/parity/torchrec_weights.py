"""TorchRec's DLRM and its weights under our names."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import torch
from torchrec.models.dlrm import DLRM
from torchrec.modules.embedding_configs import EmbeddingBagConfig
from torchrec.modules.embedding_modules import EmbeddingBagCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from bench.parity import rows
from bench.parity.golden import Golden
from bench.parity.torch_weights import draw, golden, mlp_weights, value


def goldens() -> dict[str, Golden]:
    """By file name."""
    bottom, hidden, numbers = 5, list(rows.HIDDEN), rows.NUMBERS
    names = [f"C{index + 1}" for index in range(rows.FIELDS)]
    configs = [
        EmbeddingBagConfig(name=name, embedding_dim=rows.WIDTH, num_embeddings=size, feature_names=[name])
        for name, size in zip(names, rows.SIZES, strict=True)
    ]
    model = DLRM(EmbeddingBagCollection(tables=configs), numbers, [bottom, rows.WIDTH], [*hidden, 1])
    draw(model)
    bags = KeyedJaggedTensor.from_lengths_sync(
        names, torch.from_numpy(rows.ids().T.reshape(-1).copy()), torch.ones(rows.ROWS * rows.FIELDS, dtype=torch.int32)
    )
    logits = model(torch.from_numpy(rows.numbers(numbers)), bags)
    weights = mlp_weights(model.dense_arch, "bottom") | mlp_weights(model.over_arch, "mlp")
    # TorchRec counts the pairs (i, j) with j > i row by row, TensorFlow Recommenders those with j < i.
    vectors = rows.FIELDS + 1
    place = {pair: index for index, pair in enumerate(zip(*np.triu_indices(vectors, k=1), strict=True))}
    order = [place[j, i] for i, j in zip(*np.tril_indices(vectors, k=-1), strict=True)]
    kernel = weights["mlp.kernels.0"]
    weights["mlp.kernels.0"] = np.concatenate((kernel[: rows.WIDTH], kernel[rows.WIDTH :][order]))
    bags_of = model.sparse_arch.embedding_bag_collection.embedding_bags
    found = golden(
        {"name": "dlrm", "interaction_width": bottom, "hidden": hidden},
        f"TorchRec {version('torchrec')}",
        model,
        logits,
        weights,
        {},
        embeddings=[value(bags_of[name].weight) for name in names],
        numbers=numbers,
    )
    return {"dlrm": found}
