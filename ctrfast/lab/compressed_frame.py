"""What a comparison of wide, compressed and small networks came to, as pandas frames.

frame = compressed("sweeps/compress")          # a row per form of each run, as `CompressedRow`
form_means(frame)                              # over the seeds, with the front
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ctrfast.compression.row import RESULTS
from ctrfast.errors import ArtifactError
from ctrfast.lab.groups import need, with_figures
from ctrfast.lab.training_time import pareto_front

_SAME = ["kind", "network", "settings", "precision", "prune"]  # of forms that differ in the seed alone
_FIGURES = (
    "auc", "log_loss", "calibrated_log_loss", "train_s", "row_latency_us", "thousand_rows_ms", "model_bytes", "weights",
)  # fmt: skip


def compressed(folder: str | Path) -> pd.DataFrame:
    """A row per form of each run, as `ctrfast sweep --preset compress` has left them; `prune` is 0 for whole networks.

    Raises:
        ArtifactError: there is no such table.
    """
    file = Path(folder) / RESULTS
    try:
        frame = pd.read_parquet(file)
        return frame.assign(prune=frame["prune"].fillna(0.0))
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"The table {file} cannot be read. Run the comparison again.") from error


def form_means(forms: pd.DataFrame, cost: str = "row_latency_us") -> pd.DataFrame:
    """Means over the seeds, in the order of the rows: figures, `sd` of the AUC, `seeds`, and whether on the front.

    Nothing on the front is beaten in both: no other mean has a higher AUC at a lower cost.

    Args:
        forms: of `compressed`.
        cost: a column of which less is better.

    Raises:
        DataError: no form has an AUC.
    """
    kept = with_figures(forms, "auc", cost)
    need(kept, *_SAME, *_FIGURES)
    grouped = kept.groupby(_SAME, sort=False)
    means = grouped.agg(
        hidden=("hidden", "first"),
        epochs=("epochs", "first"),
        seeds=("seed", "count"),
        sd=("auc", "std"),
        **{name: (name, "mean") for name in dict.fromkeys((*_FIGURES, cost))},
    ).reset_index()
    front = {tuple(point) for point in pareto_front(means[[cost, "auc"]].to_numpy())}
    return means.assign(on_front=[point in front for point in zip(means[cost], means["auc"], strict=True)])
