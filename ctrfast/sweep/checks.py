"""What a dataset must have for each point of a sweep, asked before the first one runs."""

from __future__ import annotations

from collections.abc import Sequence

from ctrfast.data.shards import Dataset
from ctrfast.errors import ConfigError
from ctrfast.loop.dataset_needs import check_dataset
from ctrfast.preflight import examine, refuse
from ctrfast.sweep.grid import Point, place_of, settings_text


def check_points(dataset: Dataset, points: Sequence[Point], *, with_rows: bool = True) -> None:
    """Refuse a point that the dataset cannot serve; the memory that it takes is not judged.

    Args:
        dataset: what all points train on.
        points: the grid's.
        with_rows: as in `ctrfast.preflight.examine`.

    Raises:
        ConfigError: the point is named, and its setting's place in `base` or `grid`.
        DataError: the dataset is at fault.
    """
    for index, point in enumerate(points):
        try:
            check_dataset(dataset, point.config)
            if index == 0:
                # The files, which are the same for all.
                refuse(examine(dataset, point.config, with_rows=with_rows, errors_alone=True))
        except ConfigError as error:
            message = f"The point {settings_text(point.settings)}: {error.message}"
            raise ConfigError(message, path=place_of(point.settings, error)) from error
