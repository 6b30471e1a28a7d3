"""The picture that `ctrfast sweep` leaves in its folder: AUC and log loss against the batch size."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from ctrfast.folders import new_file
from ctrfast.lab.batch_size import draw_by_batch_size
from ctrfast.lab.batch_size_page import split_of
from ctrfast.lab.run_frame import runs

PICTURE = "auc_by_batch_size.png"


def picture_sweep(folder: Path) -> Path:
    """Draw the runs that have ended well; of the test split, or of the validation split where there is no other.

    Raises:
        DataError: there is none, or the sweep has more lines than a picture can show.
    """
    frame = runs(folder)
    split = split_of(frame)
    figure = Figure(figsize=(13.0, 4.8), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("auc", "log_loss"), strict=True):
        draw_by_batch_size(frame, f"{split}_{name}", axes=axes)
    with new_file(folder / PICTURE) as partial:
        figure.savefig(partial, format="png", dpi=120, metadata={"Software": None})
    return folder / PICTURE
