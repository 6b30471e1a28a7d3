"""CTR networks over one fused embedding table.

Letters, used in all shape comments:
    B  rows (impressions) of a batch       F  id fields            N  numeric fields
    V  rows of the fused table             D  embedding width      D+1  with the linear weight as last column
    S  slots, columns of the ids: one per field, or one per value of a list, which `pooling` makes F of
    T  tables: one per field, or one for several that share it     H  width of a hidden layer
       of labels and logits, T are the tasks of a dataset of several labels
"""

from __future__ import annotations

from ctrfast.errors import unknown_name
from ctrfast.model_config import ModelConfig
from ctrfast.models.afm import AFM
from ctrfast.models.autoint import AutoInt
from ctrfast.models.base import CtrModel
from ctrfast.models.dcn import DCN
from ctrfast.models.dcn_mix import DCNMix
from ctrfast.models.dcn_v2 import DCNv2
from ctrfast.models.deep_fwfm import DeepFwFM
from ctrfast.models.deepfm import DeepFM
from ctrfast.models.dlrm import DLRM
from ctrfast.models.eulernet import EulerNet
from ctrfast.models.fcn import FCN
from ctrfast.models.fibinet import FiBiNET
from ctrfast.models.final_mlp import FinalMLP
from ctrfast.models.fm import FM
from ctrfast.models.fwfm import FwFM
from ctrfast.models.gdcn import GDCN
from ctrfast.models.lr import LR
from ctrfast.models.masknet import MaskNet
from ctrfast.models.nfm import NFM
from ctrfast.models.pnn import PNN
from ctrfast.models.wide_deep import WideDeep
from ctrfast.models.xdeepfm import XDeepFM

__all__ = ["MODELS", "CtrModel", "build_model"]

MODELS: dict[str, type[CtrModel]] = {
    "afm": AFM,
    "autoint": AutoInt,
    "dcn": DCN,
    "dcn_mix": DCNMix,
    "dcn_v2": DCNv2,
    "deep_fwfm": DeepFwFM,
    "deepfm": DeepFM,
    "dlrm": DLRM,
    "eulernet": EulerNet,
    "fcn": FCN,
    "fibinet": FiBiNET,
    "final_mlp": FinalMLP,
    "fm": FM,
    "fwfm": FwFM,
    "gdcn": GDCN,
    "lr": LR,
    "masknet": MaskNet,
    "nfm": NFM,
    "pnn": PNN,
    "wide_deep": WideDeep,
    "xdeepfm": XDeepFM,
}


def build_model(config: ModelConfig, *, id_fields: int, numeric_fields: int, seed: int, tasks: int = 1) -> CtrModel:
    """A network by name, with its weights made.

    Args:
        config: name, widths.
        id_fields: F.
        numeric_fields: N, may be 0.
        seed: of the initial weights.
        tasks: T, where `config.tasks` gives the network heads for several.

    Raises:
        ConfigError: there is no such model.
    """
    if config.name not in MODELS:
        raise unknown_name("model", config.name, MODELS, path="model.name")
    return MODELS[config.name](config, id_fields=id_fields, numeric_fields=numeric_fields, seed=seed, tasks=tasks)
