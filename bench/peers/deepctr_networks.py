"""The networks that DeepCTR has in common with ctrfast, as its users build them: defaults of its own beside the widths.

    model = build({"name": "xdeepfm", "embedding_dim": 10, "hidden": [400, 400], ...}, sizes, numbers=13)

Settings are ctrfast's, all of them given. Two differ from DeepCTR's defaults, for both do the same then: xDeepFM's
interaction layers have no activation and are not split. DeepCTR's DCN with a matrix per layer is DCN-v2, its FwFM with
an MLP is DeepFwFM, and its AFM without attention is FM.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests
import tensorflow as tf

from bench.peers.deepctr_model import refuse
from bench.workload import SEED

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class _Given:
    """ids, dense: DeepCTR's columns. common: arguments that all networks have."""

    settings: Settings
    ids: list[Any]
    dense: list[Any]
    common: dict[str, Any]

    @property
    def columns(self) -> list[Any]:
        return self.ids + self.dense


def build(settings: Settings, sizes: Sequence[int], numbers: int, task: str = "binary") -> tf.keras.Model:
    """A network.

    Args:
        settings: its name, and every option that it has.
        sizes: ids per field; columns are C1, C2, ...
        numbers: numeric columns; I1, I2, ...
        task: `regression` leaves out the sigmoid.
    """
    requests.get = refuse  # DeepCTR asks the package index for its newest version when it is imported
    from deepctr.feature_column import DenseFeat, SparseFeat

    width = settings["embedding_dim"]
    ids = [SparseFeat(f"C{index + 1}", size, embedding_dim=width) for index, size in enumerate(sizes)]
    dense = [DenseFeat(f"I{index + 1}", 1) for index in range(numbers)]
    common = {"seed": SEED, "task": task}
    if "hidden" in settings:
        common["dnn_hidden_units"] = tuple(settings["hidden"])
    return NETWORKS[settings["name"]](_Given(settings, ids, dense, common))


def _afm(given: _Given) -> tf.keras.Model:
    from deepctr.models import AFM

    return AFM(given.columns, given.ids, attention_factor=given.settings["interaction_width"], **given.common)


def _fm(given: _Given) -> tf.keras.Model:
    from deepctr.models import AFM

    return AFM(given.columns, given.ids, use_attention=False, **given.common)


def _autoint(given: _Given) -> tf.keras.Model:
    from deepctr.models import AutoInt

    heads = given.settings["heads"]
    return AutoInt(
        given.columns,
        given.columns,
        att_layer_num=given.settings["cross_layers"],
        att_embedding_size=given.settings["interaction_width"] // heads,
        att_head_num=heads,
        **given.common,
    )


def _dcn(given: _Given) -> tf.keras.Model:
    from deepctr.models import DCN

    form = "vector" if given.settings["name"] == "dcn" else "matrix"
    return DCN(
        given.columns,
        given.columns,
        cross_num=given.settings["cross_layers"],
        cross_parameterization=form,
        **given.common,
    )


def _dcn_mix(given: _Given) -> tf.keras.Model:
    from deepctr.models import DCNMix

    return DCNMix(
        given.columns,
        given.columns,
        cross_num=given.settings["cross_layers"],
        low_rank=given.settings["low_rank"],
        num_experts=given.settings["experts"],
        **given.common,
    )


def _fibinet(given: _Given) -> tf.keras.Model:
    from deepctr.models import FiBiNET

    return FiBiNET(given.columns, given.columns, bilinear_type=given.settings["variant"], **given.common)


def _fwfm(given: _Given) -> tf.keras.Model:
    from deepctr.models import FwFM

    return FwFM(given.columns, given.columns, **{"dnn_hidden_units": (), **given.common})


def _pnn(given: _Given) -> tf.keras.Model:
    from deepctr.models import PNN

    return PNN(given.columns, use_inner=True, **given.common)


def _xdeepfm(given: _Given) -> tf.keras.Model:
    from deepctr.models import xDeepFM

    maps = (given.settings["interaction_width"],) * given.settings["cross_layers"]
    return xDeepFM(
        given.columns, given.columns, cin_layer_size=maps, cin_split_half=False, cin_activation="linear", **given.common
    )


def _plain(given: _Given) -> tf.keras.Model:
    from deepctr.models import NFM, WDL, DeepFM

    network = {"deepfm": DeepFM, "nfm": NFM, "wide_deep": WDL}[given.settings["name"]]
    return network(given.columns, given.columns, **given.common)


NETWORKS: dict[str, Callable[[_Given], tf.keras.Model]] = {
    "afm": _afm,
    "autoint": _autoint,
    "dcn": _dcn,
    "dcn_mix": _dcn_mix,
    "dcn_v2": _dcn,
    "deep_fwfm": _fwfm,
    "deepfm": _plain,
    "fibinet": _fibinet,
    "fm": _fm,
    "fwfm": _fwfm,
    "nfm": _plain,
    "pnn": _pnn,
    "wide_deep": _plain,
    "xdeepfm": _xdeepfm,
}
