"""The networks that FuxiCTR has in common with ctrfast, put together from the parts that its package ships.

    model = Network({"name": "dcn", "embedding_dim": 10, "hidden": [400, 400], "cross_layers": 3}, feature_map, folder)

As in FuxiCTR's own networks, numeric fields have vectors and count as fields. Settings are ctrfast's, all given.

    logit = first(features, vectors) + mlp(into(vectors)) + beside(vectors), of which some may be missing
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from fuxictr.features import FeatureMap
from fuxictr.pytorch.layers import (
    BilinearInteractionV2,
    CompressedInteractionNet,
    CrossNet,
    CrossNetMix,
    CrossNetV2,
    FactorizationMachine,
    FeatureEmbedding,
    InnerProductInteraction,
    LogisticRegression,
    MLP_Block,
    SqueezeExcitation,
)
from fuxictr.pytorch.models import BaseModel
from model_zoo.LongCTR.FinalMLP.FinalMLP import FeatureSelection, InteractionAggregation
from torch import nn

from bench.workload import LR_DENSE

Settings = Mapping[str, Any]
_MAX_GRADIENT_NORM = 10.0  # what `fit` sets where its user does not


@dataclass(frozen=True)
class Parts:
    """first: of features and vectors (B, F, D). into: of vectors, for the MLP, and its width. beside: of vectors."""

    first: nn.Module | None = None
    into: tuple[nn.Module, int] | None = None
    beside: nn.Module | None = None


class Network(BaseModel):
    """One of `PARTS`, with FuxiCTR's training step."""

    def __init__(self, settings: Settings, feature_map: FeatureMap, folder: str, task: str = "binary_classification"):
        given = {"verbose": 0, "model_root": folder, "metrics": ["AUC"]}
        super().__init__(feature_map, model_id=settings["name"], task=task, **given)
        parts = PARTS[settings["name"]](settings, feature_map)
        has_vectors = settings["name"] != "lr"
        self.embeddings = FeatureEmbedding(feature_map, settings["embedding_dim"]) if has_vectors else None
        self.first, self.beside = parts.first, parts.beside
        self.into, self.mlp = None, None
        if parts.into is not None:
            self.into, width = parts.into
            self.mlp = mlp(width, settings["hidden"], output_dim=1)
        self.compile("adam", "binary_crossentropy", LR_DENSE)
        self.reset_parameters()
        self._max_gradient_norm = _MAX_GRADIENT_NORM

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A batch by feature name -> probabilities (B, 1)."""
        features = self.get_inputs(inputs)
        vectors = None if self.embeddings is None else self.embeddings(features)  # (B, F, D)
        logits = [] if self.first is None else [self.first(features, vectors)]
        if self.mlp is not None:
            logits.append(self.mlp(self.into(vectors)))
        if self.beside is not None:
            logits.append(self.beside(vectors))
        return {"y_pred": self.output_activation(sum(logits))}


def mlp(width: int, hidden: list[int], output_dim: int | None) -> nn.Module:
    """FuxiCTR's MLP of ReLU layers; without an output, up to the last hidden one."""
    return MLP_Block(
        input_dim=width,
        output_dim=output_dim,
        hidden_units=list(hidden),
        hidden_activations="ReLU",
        output_activation=None,
    )


class Linear(nn.Module):
    """The linear part alone."""

    def __init__(self, feature_map: FeatureMap) -> None:
        super().__init__()
        self.linear = LogisticRegression(feature_map)

    def forward(self, features: dict[str, torch.Tensor], vectors: torch.Tensor | None) -> torch.Tensor:  # noqa: ARG002
        return self.linear(features)


class Joined(nn.Module):
    """Several views of the vectors, each flat, one beside the other."""

    def __init__(self, *views: nn.Module) -> None:
        super().__init__()
        self.views = nn.ModuleList(views)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return torch.cat([view(vectors).flatten(start_dim=1) for view in self.views], dim=1)


class TwoStreams(nn.Module):
    """FinalMLP's two gated MLPs and their fusion."""

    def __init__(self, settings: Settings, feature_map: FeatureMap) -> None:
        super().__init__()
        hidden, width = settings["hidden"], feature_map.num_fields * settings["embedding_dim"]
        self.gates = FeatureSelection(feature_map, width, settings["embedding_dim"], fs_hidden_units=[])
        self.streams = nn.ModuleList(mlp(width, hidden, output_dim=None) for _ in range(2))
        self.fusion = InteractionAggregation(hidden[-1], hidden[-1], num_heads=settings["heads"])

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        gated = self.gates(None, vectors.flatten(start_dim=1))
        return self.fusion(*(stream(part) for stream, part in zip(self.streams, gated, strict=True)))


def _sizes(settings: Settings, feature_map: FeatureMap) -> tuple[int, int, int, int]:
    """Fields, pairs, width of a vector, width of all."""
    fields, width = feature_map.num_fields, settings["embedding_dim"]
    return fields, fields * (fields - 1) // 2, width, fields * width


def _crosses(settings: Settings, feature_map: FeatureMap) -> Parts:
    *_, joined = _sizes(settings, feature_map)
    layers = settings["cross_layers"]
    if settings["name"] == "dcn_mix":
        crosses = CrossNetMix(joined, layers, settings["low_rank"], settings["experts"])
    else:
        crosses = {"dcn": CrossNet, "dcn_v2": CrossNetV2}[settings["name"]](joined, layers)
    return Parts(into=(nn.Flatten(), joined), beside=nn.Sequential(nn.Flatten(), crosses, nn.Linear(joined, 1)))


def _deepfm(settings: Settings, feature_map: FeatureMap) -> Parts:
    *_, joined = _sizes(settings, feature_map)
    return Parts(first=FactorizationMachine(feature_map), into=(nn.Flatten(), joined))


def _fibinet(settings: Settings, feature_map: FeatureMap) -> Parts:
    fields, pairs, width, _ = _sizes(settings, feature_map)
    form = f"field_{settings['variant']}"
    products = [BilinearInteractionV2(fields, width, form) for _ in range(2)]
    into = Joined(products[0], nn.Sequential(SqueezeExcitation(fields), products[1]))
    return Parts(first=Linear(feature_map), into=(into, 2 * pairs * width))


def _nfm(settings: Settings, feature_map: FeatureMap) -> Parts:
    fields, _, width, _ = _sizes(settings, feature_map)
    return Parts(first=Linear(feature_map), into=(InnerProductInteraction(fields, output="bi_interaction"), width))


def _pnn(settings: Settings, feature_map: FeatureMap) -> Parts:
    fields, pairs, _, joined = _sizes(settings, feature_map)
    return Parts(into=(Joined(nn.Flatten(), InnerProductInteraction(fields, output="inner_product")), joined + pairs))


def _wide_deep(settings: Settings, feature_map: FeatureMap) -> Parts:
    *_, joined = _sizes(settings, feature_map)
    return Parts(first=Linear(feature_map), into=(nn.Flatten(), joined))


def _xdeepfm(settings: Settings, feature_map: FeatureMap) -> Parts:
    fields, *_, joined = _sizes(settings, feature_map)
    cin = CompressedInteractionNet(fields, [settings["interaction_width"]] * settings["cross_layers"])
    return Parts(first=Linear(feature_map), into=(nn.Flatten(), joined), beside=cin)


PARTS: dict[str, Callable[[Settings, FeatureMap], Parts]] = {
    "dcn": _crosses,
    "dcn_mix": _crosses,
    "dcn_v2": _crosses,
    "deepfm": _deepfm,
    "fibinet": _fibinet,
    "final_mlp": lambda settings, feature_map: Parts(beside=TwoStreams(settings, feature_map)),
    "fm": lambda _, feature_map: Parts(first=FactorizationMachine(feature_map)),
    "lr": lambda _, feature_map: Parts(first=Linear(feature_map)),
    "nfm": _nfm,
    "pnn": _pnn,
    "wide_deep": _wide_deep,
    "xdeepfm": _xdeepfm,
}
