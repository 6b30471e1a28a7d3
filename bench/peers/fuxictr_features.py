"""Features and batches as FuxiCTR's preparation of data and its loader would hand them to a network."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from fuxictr.features import FeatureMap

from bench.workload import Rows


def describe(sizes: Sequence[int], numbers: int, width: int) -> FeatureMap:
    """Numeric features I1, I2, ... and id features C1, C2, ... of so many ids, with vectors of a width."""
    feature_map = FeatureMap("clicks", "")
    numeric = {f"I{i + 1}": {"source": "", "type": "numeric"} for i in range(numbers)}
    ids = {f"C{i + 1}": {"source": "", "type": "categorical", "vocab_size": size} for i, size in enumerate(sizes)}
    feature_map.features = OrderedDict({**numeric, **ids})
    feature_map.labels = ["label"]
    feature_map.num_fields = len(sizes) + numbers
    feature_map.total_features = sum(sizes) + numbers
    feature_map.default_emb_dim = width
    feature_map.set_column_index()
    return feature_map


def inputs(rows: Rows) -> dict[str, torch.Tensor]:
    """A batch: one tensor per column."""
    numbers = {f"I{i + 1}": torch.from_numpy(rows.numbers[:, i].copy()) for i in range(rows.numbers.shape[1])}
    ids = {f"C{i + 1}": torch.from_numpy(rows.ids[:, i].copy()).long() for i in range(rows.ids.shape[1])}
    return {**numbers, **ids, "label": torch.from_numpy(rows.labels.copy())}
