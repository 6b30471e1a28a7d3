"""The pictures of a report's page: AUC, log loss and time per epoch against the batch size, as HTML with SVG in it.

For light and for dark pages; nothing is loaded from elsewhere.

    "".join(batch_size_figures(runs("sweeps/rules")))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import pandas as pd
from matplotlib.figure import Figure

from ctrfast.data.report.svg import Draw, draw_picture, figure_tag
from ctrfast.data.report.tags import text
from ctrfast.errors import DataError
from ctrfast.lab.batch_size import draw_by_batch_size
from ctrfast.lab.figure_names import name_of
from ctrfast.lab.training_time import draw_epoch_time
from ctrfast.sweep.space import SEED

EPOCH_TIME = "epoch_s"
_SIZE = (7.0, 4.6)  # inches
_SEEDS = "A line goes through means over the seeds, whiskers are one standard deviation."
_ONE_SEED = "One seed."

References = Mapping[str, Mapping[int, float]]


def batch_size_figures(
    runs: pd.DataFrame,
    *,
    by: Sequence[str] | None = None,
    references: Mapping[str, References] = MappingProxyType({}),
    notes: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[str]:
    """Each picture as HTML; a sentence stands for one that cannot be drawn.

    Args:
        runs: a frame of `ctrfast.lab.runs`; the test split counts, or the validation split where there is no other.
        by: settings that set lines apart; not set: all that differ.
        references: by column (`test_auc`, `epoch_s`), then by label: dashed lines.
        notes: by column: words beneath the picture.
    """
    split = split_of(runs)
    spread = _SEEDS if SEED in runs and runs[SEED].nunique() > 1 else _ONE_SEED
    for column in (f"{split}_auc", f"{split}_log_loss", EPOCH_TIME):
        name = name_of(column)
        dashed = references.get(column, {})
        alt = f"Line chart: {name} against batch size, a line per choice of settings."
        words = [f"{name[0].upper()}{name[1:]} against batch size.", spread, notes.get(column, "")]
        try:
            picture = draw_picture(column, alt, _drawing(runs, column, by, dashed), _SIZE)
        except DataError as error:
            yield f"<p>No picture of the {text(name)}: {text(error.message)}</p>"
        else:
            yield figure_tag(picture, " ".join(filter(None, words)))


def split_of(runs: pd.DataFrame) -> str:
    """`test`, or `valid` where there are no figures of test rows."""
    return "test" if "test_auc" in runs else "valid"


def _drawing(runs: pd.DataFrame, column: str, by: Sequence[str] | None, references: References) -> Draw:
    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        if column == EPOCH_TIME:
            draw_epoch_time(runs, by=by, references=references, axes=axes)
        else:
            draw_by_batch_size(runs, column, by=by, references=references, axes=axes)

    return draw
