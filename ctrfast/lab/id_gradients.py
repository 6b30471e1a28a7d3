"""How the gradient of an id's row grows with the id's frequency, and where CowClip's limit lies.

For a row k that occurs n_k times in a batch, with embedding w_k (D,) and gradient g_k of the batch's mean loss:

    loss_norm = ||g_k||
    step_norm = ||g_k + 2 l2 w_k||
    limit     = n_k clip_ratio max(||w_k||, clip_ratio sqrt(D) bound)

A row is clipped where step_norm is above its limit. The mean gradient of an id falls as 1 / B, the limit does not.

    norms = gradient_norms(Path("runs/first"), Dataset.open(Path("data/criteo")))
    draw_gradient_norms(norms)
"""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctrfast.config import CPU_MICRO_BATCH_ROWS
from ctrfast.data.batches import Shuffle, batches
from ctrfast.data.shards import Dataset
from ctrfast.errors import ConfigError
from ctrfast.lab.groups import with_figures
from ctrfast.lab.run_on_dataset import open_run_on
from ctrfast.lab.theme import canvas, finish, style_of
from ctrfast.run import Run

Doubles = npt.NDArray[np.float64]
_LOW, _HIGH = 0.1, 0.9


def gradient_norms(
    run: Path | str, dataset: Dataset, *, batch_size: int | None = None, most_batches: int = 8, seed: int = 1
) -> pd.DataFrame:
    """The final weights' gradients on some batches of the training split; nothing is trained.

    Args:
        run: a finished run's folder.
        dataset: made with the run's vocabulary.
        batch_size: B; not set: the run's own.
        most_batches: so many batches of one pass at most.
        seed: of the rows' order.

    Returns:
        A row per id that the batches hold: `batch_size`, `field` (its table), `id` (local), and the means over the
        batches that have it of `frequency` (its occurrences), `loss_norm`, `step_norm`, `limit` and `clipped` (0 or 1).
        A run without CowClip clips nothing; the limit is then CowClip's with a `clip_ratio` of 1 and no bound.

    Raises:
        ArtifactError: the run cannot be used.
        ConfigError: the split is smaller than a batch.
        DataError: the dataset has another vocabulary.
    """
    finished = open_run_on(run, dataset)
    B = finished.config.batch_size if batch_size is None else batch_size
    if not 1 <= B <= dataset.rows("train"):
        problem = (
            f"`batch_size` must be 1 to the training split's {dataset.rows('train'):,} rows. Got batch_size={B:,}."
        )
        raise ConfigError(f"{problem} Choose another.", path="batch_size")
    if most_batches < 1:
        raise ConfigError(f"`most_batches` must be >= 1. Got most_batches={most_batches}.", path="most_batches")
    from ctrfast.lab.row_gradients import RowGradients  # TensorFlow, which frames and pictures do without

    gradients = RowGradients(finished, batch_size=B, micro_batch_size=CPU_MICRO_BATCH_ROWS)
    shuffle = Shuffle(seed=(seed,), rows=finished.config.shuffle_rows)
    with closing(batches(dataset, "train", B, shuffle=shuffle, drop_remainder=True)) as source:
        parts = [_norms(finished, *gradients(batch)) for batch in islice(source, most_batches)]
    means = pd.concat(parts).groupby("row", sort=True).mean()
    starts = np.array([start for _, start in dataset.fitted.row_ranges])
    names = [name for name, _ in dataset.fitted.row_ranges]
    places = np.searchsorted(starts, means.index.to_numpy(), side="right") - 1
    means.insert(0, "batch_size", B)
    means.insert(1, "field", [names[place] for place in places])
    means.insert(2, "id", means.index.to_numpy() - starts[places])
    return means[means["field"].notna()].reset_index(drop=True)


def draw_gradient_norms(norms: pd.DataFrame, *, limit: bool = True, axes: Axes | None = None) -> Figure:
    """The norm of a row's gradient against the id's occurrences in a batch, both logarithmic.

    Lines go through the medians of ids whose frequency is alike (between powers of 2), bands from the 10th to the 90th
    percentile of the ids; dotted lines of the same marker are the medians of the limit.

    Args:
        norms: a frame of `gradient_norms`, or several in one: a line per batch size.
        limit: draw the limit too.
        axes: to draw on.

    Raises:
        DataError: there are no norms.
    """
    kept, axes = with_figures(norms, "frequency", "step_norm", "limit", "batch_size"), canvas(axes)
    sizes = sorted(kept["batch_size"].unique())
    for index, size in enumerate(sizes):
        part = kept[kept["batch_size"] == size]
        octave = np.floor(np.log2(part["frequency"]))
        middle = part.groupby(octave)["frequency"].median()
        norm = part.groupby(octave)["step_norm"].quantile([_LOW, 0.5, _HIGH]).unstack()
        style = style_of(index, len(sizes))
        axes.plot(middle, norm[0.5], label=f"gradient, batch {size:,}", **style)
        axes.fill_between(middle, norm[_LOW], norm[_HIGH], color=style["color"], alpha=0.18, linewidth=0)
        if limit:
            limits = part.groupby(octave)["limit"].median()
            hollow = {**style, "linestyle": ":", "markerfacecolor": "none"}
            axes.plot(middle, limits, label=f"limit, batch {size:,}", **hollow)
    axes.set(xscale="log", yscale="log")
    x = "occurrences of the id in a batch, log scale; bands: 10th to 90th percentile of the ids"
    return finish(axes, title="Gradient norm against id frequency", x=x, y="norm of the row's gradient, log scale")


def _norms(
    run: Run, rows: npt.NDArray[np.int64], counts: Doubles, weights: Doubles, gradients: Doubles
) -> pd.DataFrame:
    """One batch's ids (U,): occurrences, embeddings (U, D), gradients (U, D) of the mean loss."""
    plan = run.plan
    ratio, bound = plan.clip_ratio or 1.0, plan.bound or 0.0
    step = np.linalg.norm(gradients + 2 * plan.l2 * weights, axis=1)
    floor = ratio * np.sqrt(weights.shape[1]) * bound
    limit = counts * ratio * np.maximum(np.linalg.norm(weights, axis=1), floor)
    clipped = (step > limit) & (plan.clip == "adaptive_column")
    return pd.DataFrame(
        {
            "row": rows,
            "frequency": counts,
            "loss_norm": np.linalg.norm(gradients, axis=1),
            "step_norm": step,
            "limit": limit,
            "clipped": clipped.astype(float),
        }
    )
