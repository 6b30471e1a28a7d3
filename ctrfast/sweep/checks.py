"""What a dataset must have for each point of a sweep, asked before the first one runs."""

from __future__ import annotations

from collections.abc import Sequence

from ctrfast.data.shards import Dataset
from ctrfast.errors import ConfigError
from ctrfast.loop.dataset_needs import check_dataset
from ctrfast.preflight import examine, refuse
from ctrfast.sweep.grid import Point, place_of, settings_text


def check_points(dataset: Dataset, points: Sequence[Point]) -> None:
    """Refuse a point that the dataset cannot serve, by its manifest and schema; memory and files are not judged.

    Args:
        dataset: what all points train on.
        points: the grid's.

    Raises:
        ConfigError: the point is named, and its setting's place in `base` or `grid`.
        DataError: the dataset is at fault.
    """
    for index, point in enumerate(points):
        try:
            check_dataset(dataset, point.config)
            if index == 0:
                refuse(examine(dataset, point.config))
        except ConfigError as error:
            message = f"The point {settings_text(point.settings)}: {error.message}"
            raise ConfigError(message, path=place_of(point.settings, error)) from error
