"""The reliability diagram of a run on any split: `ctrfast.reliability`, for notebooks."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctrfast.data.shards import Dataset
from ctrfast.errors import DataError
from ctrfast.lab.run_on_dataset import open_run_on
from ctrfast.lab.theme import figure_of
from ctrfast.reliability import draw_on


def draw_reliability(
    run: Path | str, dataset: Dataset, split: str = "test", *, axes: tuple[Axes, Axes] | None = None
) -> Figure:
    """Click rates predicted and seen in bins of equally many rows, before and after calibration, with 95 % intervals.

    Args:
        run: a finished run's folder.
        dataset: made with the run's vocabulary.
        split: of the dataset. On `valid` the calibration was fitted.
        axes: two that share x: for the diagram, and below it for how the predictions are spread.

    Raises:
        ArtifactError: the run cannot be used.
        DataError: the dataset has another vocabulary than the run, or the split has no rows.
    """
    finished = open_run_on(run, dataset)
    if not dataset.rows(split):
        raise DataError(f"The split {split} of {dataset.path} must have rows. Got none. Choose another.", path="split")
    from ctrfast.loop.split_evaluation import evaluate_split  # TensorFlow, which other pictures do without
    from ctrfast.run_network import open_network

    predictions = evaluate_split(open_network(finished), dataset, split)
    if axes is None:
        figure = Figure(figsize=(6.0, 6.2), layout="constrained")
        above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    else:
        above, below = axes
    draw_on(above, below, predictions, finished.calibration(), split)
    return figure_of(above)
