"""The networks that the contract holds for, small: each in its form, and variants, towers and heads."""

from pathlib import Path
from typing import Any

import numpy as np

from ctrfast.config import TrainConfig, parse_config
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.schema import IdField, NumericField, Schema

HIDDEN, EQUAL = [8, 6], [6, 6, 6]
CASES: dict[str, dict[str, Any]] = {
    "afm": {"interaction_width": 4},
    "autoint": {"cross_layers": 2, "interaction_width": 6, "heads": 3, "hidden": HIDDEN},
    "dcn": {"cross_layers": 2, "hidden": HIDDEN},
    "dcn_mix": {"cross_layers": 2, "low_rank": 2, "experts": 3, "hidden": HIDDEN},
    "dcn_v2": {"cross_layers": 2, "hidden": HIDDEN},
    "dcn_v2-low_rank": {"cross_layers": 2, "low_rank": 3, "hidden": HIDDEN},
    "deep_fwfm": {"hidden": HIDDEN},
    "deepfm": {"hidden": HIDDEN},
    "dlrm": {"interaction_width": 6, "hidden": HIDDEN},
    "eulernet": {"cross_layers": 2, "interaction_width": 4},
    "fcn": {"cross_layers": 2},
    "fibinet": {"hidden": HIDDEN},
    "fibinet-each": {"variant": "each", "hidden": HIDDEN},
    "fibinet-all": {"variant": "all", "hidden": HIDDEN},
    "final_mlp": {"heads": 2, "hidden": HIDDEN},
    "fm": {},
    "fwfm": {},
    "gdcn": {"cross_layers": 2, "hidden": HIDDEN},
    "lr": {},
    "masknet": {"cross_layers": 2, "interaction_width": 4},
    "masknet-parallel": {"cross_layers": 2, "interaction_width": 4, "variant": "parallel", "hidden": HIDDEN},
    "nfm": {"hidden": HIDDEN},
    "pnn": {"hidden": HIDDEN},
    "pnn-outer": {"variant": "outer", "hidden": HIDDEN},
    "wide_deep": {"hidden": HIDDEN},
    "xdeepfm": {"cross_layers": 2, "interaction_width": 4, "hidden": HIDDEN},
    "deepfm-layer_norms": {"hidden": HIDDEN, "tower": {"norm": "layer", "activation": "gelu"}},
    "deepfm-shared": {"hidden": HIDDEN, "tower": {"name": "shared", "norm": "layer", "activation": "silu"}},
    "deepfm-moe": {"hidden": EQUAL, "tower": {"name": "moe", "experts": 3, "norm": "layer", "balance": 0.3}},
    "dcn_v2-moe-drawn": {
        "cross_layers": 2,
        "hidden": EQUAL,
        "tower": {"name": "moe", "norm": "batch", "dropout": 0.2, "across_depth": "shared", "experts": 3},
    },
    "deepfm-shared_bottom": {"hidden": HIDDEN, "tasks": {"kind": "shared_bottom", "hidden": [4]}},
    "xdeepfm-mmoe": {
        "cross_layers": 2,
        "interaction_width": 4,
        "hidden": HIDDEN,
        "tasks": {"kind": "mmoe", "experts": 3, "hidden": [4]},
    },
    "dcn_v2-ple": {
        "cross_layers": 2,
        "hidden": HIDDEN,
        "tower": {"norm": "layer"},
        "tasks": {"kind": "ple", "experts": 1, "shared_experts": 1, "levels": 2, "hidden": [4]},
    },
}
# Every network and kind of tower, and the heads with gates, once: each costs seconds of compilation. Not with dropout,
# which is drawn, nor batch norms, which go by the rows, of each replica.
_ONCE = ("low_rank", "each", "all", "parallel", "outer", "layer_norms", "drawn", "shared_bottom")
ALIKE_ON_REPLICAS = [case for case in CASES if not case.endswith(_ONCE)]
BATCH, STEPS = 32, 6
COLUMNS = ("n", "m", "a", "b", "c")


def config_of(case: str) -> TrainConfig:
    """A run of six steps in two micro-batches each, which moves its weights far enough for any difference to show."""
    return parse_config(
        {
            "batch_size": BATCH,
            "micro_batch_size": BATCH // 2,
            "log_every_steps": 2,
            "checkpoint_every_steps": STEPS // 2,
            "model": {"name": case.partition("-")[0], "embedding_dim": 4, **CASES[case]},
            "optimizer": {
                "lr_dense": 0.02,
                "lr_embed": 0.02,
                "l2": 1e-3,
                "clip_ratio": 0.1,
                "warmup_epochs": 0,
                "embedding_init_std": 0.4,
            },
            "scaling": {"base_batch_size": BATCH},
        }
    )


def labels_of(case: str) -> tuple[str, ...]:
    """Of the dataset that a case trains on."""
    return ("click", "buy") if "tasks" in CASES[case] else ("click",)


def rows_of(labels: tuple[str, ...]) -> list[dict[str, Any]]:
    """Impressions: 192 to train, 64 to validate, 64 to test. What was bought is known where there was a click."""
    rng = np.random.default_rng(1)
    rows = []
    for _ in range(320):
        a, b, c = (int(each) for each in rng.integers(0, (12, 5, 8)))
        n, m = (float(f"{each:.3f}") for each in rng.normal(size=2))
        of_click, of_buy = (rng.random() < 1 / (1 + np.exp(-logit)) for logit in ((a - b) / 4 + n, (c - a) / 4 + m))
        row = {"click": int(of_click), "buy": int(of_buy) if of_click else ""}
        rows.append({name: row[name] for name in labels} | {"n": n, "m": m, "a": f"a{a}", "b": f"b{b}", "c": f"c{c}"})
    return rows


def make_dataset(folder: Path, labels: tuple[str, ...]) -> Dataset:
    """The impressions as a dataset, in their order."""
    raw = folder / "clicks.tsv"
    raw.write_text("".join("\t".join(str(value) for value in row.values()) + "\n" for row in rows_of(labels)))
    schema = Schema(
        name="contract",
        columns=(*labels, *COLUMNS),
        label=labels[0] if len(labels) == 1 else labels,
        numeric_fields=tuple(NumericField(name=name) for name in ("n", "m")),
        id_fields=tuple(IdField(name=name) for name in ("a", "b", "c")),
    )
    prepare([raw], schema, folder / "dataset", split="sequential", valid_fraction=0.2, test_fraction=0.2)
    return Dataset.open(folder / "dataset")
