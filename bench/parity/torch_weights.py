"""What the golden files of torch networks share: how weights are drawn, and how layers come under our names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.parity import rows
from bench.parity.golden import Array, Golden

Weights = dict[str, Array]


def golden(
    settings: Mapping[str, Any],
    peer: str,
    model: nn.Module,
    logits: torch.Tensor,
    weights: Weights,
    differences: Mapping[str, int],
    *,
    embeddings: Sequence[Array],
    linear: Sequence[Array] | None = None,
    numbers: int = 0,
) -> Golden:
    """A golden file's content.

    Args:
        settings: of our network, without the width of the vectors.
        peer: whose network.
        model: the peer's.
        logits: (R, 1).
        weights: the peer's by our names.
        differences: of the counts of weights, by reason.
        embeddings: of each field.
        linear: linear weights of each field; `None` for a network without a linear part.
        numbers: N.
    """
    if linear is None:
        differences = {**differences, "no linear part": sum(rows.SIZES) + numbers + 1}
        weights = {"linear.weights_of_numbers": np.zeros((numbers, 1)), "linear.bias": np.zeros(()), **weights}
    return Golden(
        model={"embedding_dim": rows.WIDTH, **settings},
        peer=peer,
        peer_parameters=sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        differences=differences,
        ids=rows.ids() + rows.OFFSETS,
        numbers=rows.numbers(numbers),
        table=rows.table(embeddings, linear),
        weights=weights,
        logits=logits.detach().numpy()[:, 0],
    )


def draw(model: nn.Module, std: float = rows.WEIGHTS_STD) -> None:
    """Give it new weights."""
    draws = rows.Draws(std)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.from_numpy(draws(weight.shape)))


def value(weight: torch.Tensor) -> Array:
    """A weight, apart from the model."""
    return weight.detach().numpy().copy()


def dense(layer: nn.Linear, name: str) -> Weights:
    """A dense layer's weights; torch keeps kernels the other way round."""
    found = {f"{name}.kernel": value(layer.weight).T}
    return found if layer.bias is None else {**found, f"{name}.bias": value(layer.bias)}


def norm(layer: nn.LayerNorm, name: str) -> Weights:
    """A normalization's weights."""
    return {f"{name}.gamma": value(layer.weight), f"{name}.beta": value(layer.bias)}


def mlp_weights(model: nn.Module, name: str) -> Weights:
    """Of all dense layers in it, one after the other."""
    weights = {}
    for index, layer in enumerate(part for part in model.modules() if isinstance(part, nn.Linear)):
        weights |= {f"{name}.kernels.{index}": value(layer.weight).T, f"{name}.biases.{index}": value(layer.bias)}
    return weights
