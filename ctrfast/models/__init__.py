"""CTR networks over one fused embedding table.

Letters, used in all shape comments:
    B  rows (impressions) of a batch       F  id fields            N  numeric fields
    V  rows of the fused table             D  embedding width      D+1  with the linear weight as last column
    S  slots, columns of the ids: one per field, or one per value of a list, which `pooling` makes F of
    T  tables: one per field, or one for several that share it     H  width of a hidden layer
"""

from __future__ import annotations

from ctrfast.config import ModelConfig
from ctrfast.errors import unknown_name
from ctrfast.models.base import CtrModel
from ctrfast.models.dcn import DCN
from ctrfast.models.dcn_mix import DCNMix
from ctrfast.models.dcn_v2 import DCNv2
from ctrfast.models.deepfm import DeepFM
from ctrfast.models.wide_deep import WideDeep

__all__ = ["MODELS", "CtrModel", "build_model"]

MODELS: dict[str, type[CtrModel]] = {
    "dcn": DCN,
    "dcn_mix": DCNMix,
    "dcn_v2": DCNv2,
    "deepfm": DeepFM,
    "wide_deep": WideDeep,
}


def build_model(config: ModelConfig, *, id_fields: int, numeric_fields: int, seed: int) -> CtrModel:
    """A network by name, with its weights made.

    Args:
        config: name, widths.
        id_fields: F.
        numeric_fields: N, may be 0.
        seed: of the initial weights.

    Raises:
        ConfigError: there is no such model.
    """
    if config.name not in MODELS:
        raise unknown_name("model", config.name, MODELS, path="model.name")
    return MODELS[config.name](config, id_fields=id_fields, numeric_fields=numeric_fields, seed=seed)
