"""The paper's results of DeepFM under CowClip: test AUC in percent after 10 epochs, and minutes on one V100.

Source: Zheng et al. 2022, arXiv:2204.06240, and the README of its code (github.com/bytedance/LargeBatchCTR). Results of
the other three networks are not among the figures at hand.

    PUBLISHED_AUC["criteo"]["deepfm"][131072]       # 80.90
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

BATCH_SIZES = tuple(1024 * 2**power for power in range(8))
EPOCHS = 10
NETWORKS = ("deepfm", "wide_deep", "dcn", "dcn_v2")


def _by_batch(values: Sequence[float]) -> dict[int, float]:
    return dict(zip(BATCH_SIZES, values, strict=True))


PUBLISHED_AUC: Mapping[str, Mapping[str, Mapping[int, float]]] = {
    "criteo": {"deepfm": _by_batch((80.86, 80.93, 80.97, 80.97, 80.94, 80.95, 80.96, 80.90))},
    "avazu": {"deepfm": _by_batch((78.83, 78.82, 78.90, 79.06, 79.01, 78.82, 78.82, 78.80))},
}
PUBLISHED_MINUTES: Mapping[str, Mapping[str, Mapping[int, float]]] = {
    "criteo": {"deepfm": _by_batch((768, 390, 204, 102, 48, 27, 15, 9))},
    "avazu": {"deepfm": _by_batch((210, 108, 54, 30, 17, 10, 6.7, 4.8))},
}
