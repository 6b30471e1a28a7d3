"""Measure a model that is to be published and the champion, for the gates to judge (`service.gates`).

Both bundles score the same rows of the candidate's dataset; where the champion cannot, its stored figures stand in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from ctrfast.bundle_evaluation import evaluate_bundle
from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError
from ctrfast.score import Scorer
from service.assignments import Champion
from service.gates import FIGURES, SPLITS, Comparison, figures_of
from service.paths import without_server_paths
from service.places import folder_of
from service.seals import require_bundle


def compare(
    bundle: Path,
    metrics: Mapping[str, float],
    champion: Champion,
    dataset: Dataset,
    on_batch: Callable[[], None],
) -> Comparison:
    """Figures of a candidate and of the champion.

    Args:
        bundle: the candidate's.
        metrics: of the candidate's run.
        champion: the version to compare with.
        dataset: that the candidate was trained on.
        on_batch: called before each batch; what it raises ends the work.
    """
    split = next((name for name in SPLITS if dataset.rows(name)), None)
    if split is None:
        return Comparison(
            version=champion.version, note="The dataset has neither test nor validation rows; nothing was compared."
        )
    try:
        with folder_of(champion.bundle, name=str(champion.version)) as folder:
            require_bundle(folder, champion.sha256)
            old = evaluate_bundle(Scorer.load(folder), dataset, split, on_batch)
    except ArtifactError as error:
        return Comparison(
            version=champion.version,
            split=split,
            rows="others",
            candidate=figures_of(metrics, split),
            champion=figures_of(champion.metrics, split),
            note=without_server_paths(error.message),
        )
    new = evaluate_bundle(Scorer.load(bundle), dataset, split, on_batch)
    return Comparison(version=champion.version, split=split, rows="same", candidate=_judged(new), champion=_judged(old))


def _judged(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: metrics[name] for name in FIGURES if name in metrics and math.isfinite(metrics[name])}
