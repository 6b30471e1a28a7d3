"""FuxiCTR's networks that are files of its repository, with the widths of ours and else its defaults.

    model = whole({"name": "gdcn", "embedding_dim": 10, "hidden": [400, 400], "cross_layers": 3}, feature_map)

Settings are ctrfast's, all given. Where defaults differ, ours are taken, for both do the same then: FwFM has a weight
per id, AutoInt a linear part, and the masks of MaskNet twice the width; nothing is dropped out. Two files do not fit
the package as they are (`_CHANGES`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from fuxictr.features import FeatureMap
from fuxictr.pytorch.models import BaseModel

from bench.fuxictr_checkout import CHECKOUT, NETWORKS, load
from bench.workload import LR_DENSE

Settings = Mapping[str, Any]
_MAX_GRADIENT_NORM = 10.0  # what `fit` sets where its user does not
_MASK_RATIO = 2  # ctrfast's, of a mask's hidden layer


def whole(settings: Settings, feature_map: FeatureMap, checkout: Path = CHECKOUT) -> BaseModel:
    """One of `NETWORKS`, ready for its `train_step`."""
    folder, name = NETWORKS[settings["name"]]
    network = type(name, (getattr(load(folder, checkout), name),), _CHANGES.get(settings["name"], {}))
    options = OPTIONS[settings["name"]](settings)
    model = build(network, feature_map, {"embedding_dim": settings["embedding_dim"], **options})
    model._max_gradient_norm = _MAX_GRADIENT_NORM
    return model


def build(
    network: type[BaseModel], feature_map: FeatureMap, options: Settings, task: str = "binary_classification"
) -> BaseModel:
    """A network of its zoo, as its `run_expid.py` builds it. task: `regression` leaves out the sigmoid."""
    with tempfile.TemporaryDirectory() as folder:
        given = {"task": task, "verbose": 0, "model_root": folder, "metrics": ["AUC"], "learning_rate": LR_DENSE}
        return network(feature_map, **given, optimizer="adam", loss="binary_crossentropy", **options)


def _with_columns(
    model: BaseModel, inputs: dict[str, torch.Tensor], feature_source: str | None = None
) -> dict[str, torch.Tensor]:
    """Numbers as columns (B, 1): DLRM joins them along their last axis, and the package's loaders give (B,)."""
    features = BaseModel.get_inputs(model, inputs, feature_source)
    return {name: value[:, None] if value.is_floating_point() else value for name, value in features.items()}


# DCNv3's own loss has the arguments of an older package, and takes a second forward pass; ours is the log loss too.
_CHANGES: dict[str, dict[str, Any]] = {"dlrm": {"get_inputs": _with_columns}, "fcn": {"add_loss": BaseModel.add_loss}}


def _autoint(settings: Settings) -> dict[str, Any]:
    return {
        "dnn_hidden_units": settings["hidden"],
        "attention_layers": settings["cross_layers"],
        "attention_dim": settings["interaction_width"],
        "num_heads": settings["heads"],
        "use_wide": True,
    }


def _fcn(settings: Settings) -> dict[str, Any]:
    layers = {f"num_{part}_cross_layers": settings["cross_layers"] for part in ("deep", "shallow")}
    return {**layers, "deep_net_dropout": 0, "shallow_net_dropout": 0}


def _masknet(settings: Settings) -> dict[str, Any]:
    widths = [settings["interaction_width"]] * settings["cross_layers"]
    return {"model_type": "SerialMaskNet", "dnn_hidden_units": widths, "reduction_ratio": _MASK_RATIO}


OPTIONS: dict[str, Callable[[Settings], dict[str, Any]]] = {
    "afm": lambda settings: {"attention_dim": settings["interaction_width"]},
    "autoint": _autoint,
    "dlrm": lambda settings: {
        "bottom_mlp_units": [settings["interaction_width"]],
        "top_mlp_units": settings["hidden"],
    },
    "eulernet": lambda settings: {"shape": [settings["interaction_width"]] * settings["cross_layers"]},
    "fcn": _fcn,
    "fwfm": lambda _: {"linear_type": "LW"},
    "gdcn": lambda settings: {
        "dnn_hidden_units": settings["hidden"],
        "num_cross_layers": settings["cross_layers"],
    },
    "masknet": _masknet,
}
