"""DeepCTR's networks of several labels: what ctrfast's heads are on `wide_deep`, without a linear part.

    tasks = {"kind": "mmoe", "experts": 3, "hidden": [5]}
    model = build({"embedding_dim": 4, "hidden": [8, 6], "tasks": tasks}, sizes, numbers=2)

Settings are ctrfast's, all of them given. Each task gives its logit: no sigmoid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import requests
import tensorflow as tf

from bench.peers.deepctr_model import refuse
from bench.workload import SEED

LABELS = ("click", "buy")


def build(settings: Mapping[str, Any], sizes: Sequence[int], numbers: int) -> tf.keras.Model:
    """A network of `LABELS`.

    Args:
        settings: widths and `tasks`.
        sizes: ids per field; columns are C1, C2, ...
        numbers: numeric columns; I1, I2, ...
    """
    requests.get = refuse  # DeepCTR asks the package index for its newest version when it is imported
    from deepctr.feature_column import DenseFeat, SparseFeat
    from deepctr.models.multitask import MMOE, PLE, SharedBottom

    width, hidden, tasks = settings["embedding_dim"], tuple(settings["hidden"]), settings["tasks"]
    columns = [SparseFeat(f"C{index + 1}", size, embedding_dim=width) for index, size in enumerate(sizes)]
    columns += [DenseFeat(f"I{index + 1}", 1) for index in range(numbers)]
    common = {
        "tower_dnn_hidden_units": tuple(tasks["hidden"]),
        "task_names": LABELS,
        "task_types": ("regression",) * len(LABELS),
        "seed": SEED,
    }
    if tasks["kind"] == "shared_bottom":
        return SharedBottom(columns, bottom_dnn_hidden_units=hidden, **common)
    if tasks["kind"] == "mmoe":
        return MMOE(columns, num_experts=tasks["experts"], expert_dnn_hidden_units=hidden, **common)
    return PLE(
        columns,
        shared_expert_num=tasks["shared_experts"],
        specific_expert_num=tasks["experts"],
        num_levels=tasks["levels"],
        expert_dnn_hidden_units=hidden,
        **common,
    )
