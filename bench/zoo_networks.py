"""The networks of bench-zoo with every option written out, as programs of other systems need them; who shares which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.fuxictr_checkout import CHECKOUT, NETWORKS, is_there
from bench.workload import HIDDEN, WIDTH
from ctrfast.model_config import (
    ATTENTION_WIDTH,
    BOTTOM_WIDTH,
    CIN_WIDTH,
    CROSS_LAYERS,
    EXPERT_RANK,
    EXPERTS,
    HEADS,
    MASK_WIDTH,
    MODEL_OPTIONS,
    MODEL_VARIANTS,
    ORDER_VECTORS,
)

# What `bench.peers` can build from the packages; its programs hold the same names.
DEEPCTR = frozenset("afm autoint dcn dcn_mix dcn_v2 deep_fwfm deepfm fibinet fm fwfm nfm pnn wide_deep xdeepfm".split())
FUXICTR = frozenset("dcn dcn_mix dcn_v2 deepfm fibinet final_mlp fm lr nfm pnn wide_deep xdeepfm".split())

_WIDTHS = {
    "afm": ATTENTION_WIDTH,
    "autoint": ATTENTION_WIDTH,
    "dlrm": BOTTOM_WIDTH,
    "eulernet": ORDER_VECTORS,
    "masknet": MASK_WIDTH,
    "xdeepfm": CIN_WIDTH,
}


def peers_of(name: str, checkout: Path = CHECKOUT) -> list[str]:
    """Who has the network: DeepCTR; FuxiCTR, in its package or in a file of its checkout that is there."""
    by_file = name in NETWORKS and is_there(name, checkout)
    return [peer for peer, has in (("DeepCTR", name in DEEPCTR), ("FuxiCTR", name in FUXICTR or by_file)) if has]


def settings_of(name: str) -> dict[str, Any]:
    """Its settings, as `ModelConfig` takes them; what has no default stays out, as dcn_v2's `low_rank`."""
    defaults = {
        "hidden": list(HIDDEN),
        "cross_layers": CROSS_LAYERS,
        "experts": EXPERTS,
        "heads": HEADS,
        "interaction_width": _WIDTHS.get(name),
        "low_rank": EXPERT_RANK if name == "dcn_mix" else None,
        "variant": MODEL_VARIANTS.get(name, (None,))[0],
    }
    own = {option: defaults.get(option) for option in MODEL_OPTIONS[name]}
    width = 1 if name == "lr" else WIDTH  # it reads no embeddings
    return {"name": name, "embedding_dim": width, **{option: own[option] for option in own if own[option] is not None}}
