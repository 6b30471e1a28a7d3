"""Published AUC against batch size, to be shown beside one's own.

Source: Zheng et al. 2022, arXiv:2204.06240: DeepFM with CowClip, 10 epochs, on all of Criteo and Avazu. A run on other
rows, or fewer of them, has another AUC, so pictures compare the change from the base batch size alone.
"""

from __future__ import annotations

from collections.abc import Mapping

_BATCH_SIZES = (1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)
PUBLISHED_AUC: dict[str, Mapping[int, float]] = {
    "criteo": dict(zip(_BATCH_SIZES, (0.8086, 0.8093, 0.8097, 0.8097, 0.8094, 0.8095, 0.8096, 0.8090), strict=True)),
    "avazu": dict(zip(_BATCH_SIZES, (0.7883, 0.7882, 0.7890, 0.7906, 0.7901, 0.7882, 0.7882, 0.7880), strict=True)),
}


def published_change(name: str) -> dict[float, float]:
    """Batch size over the base's -> AUC minus the base's."""
    table = PUBLISHED_AUC[name]
    base = min(table)
    return {size / base: auc - table[base] for size, auc in table.items()}
