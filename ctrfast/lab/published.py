"""Published AUC against batch size, to be shown beside one's own.

Source: Zheng et al. 2022, arXiv:2204.06240: DeepFM with CowClip, 10 epochs, on all of Criteo and Avazu. A run on other
rows, or fewer of them, has another AUC, so pictures compare the change from the base batch size alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from ctrfast.optim.published import PUBLISHED_AUC as IN_PERCENT

PUBLISHED_AUC: dict[str, Mapping[int, float]] = {
    name: {size: percent / 100 for size, percent in networks["deepfm"].items()} for name, networks in IN_PERCENT.items()
}


def published_change(name: str) -> dict[float, float]:
    """Batch size over the base's -> AUC minus the base's."""
    table = PUBLISHED_AUC[name]
    base = min(table)
    return {size / base: auc - table[base] for size, auc in table.items()}
