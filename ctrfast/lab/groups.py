"""Runs that differ in nothing but the seed, put together; and what each of a picture's lines is called.

A line stands for one choice of all settings that differ among the runs, but for the one on the x axis and the seed. So
no mean is ever taken over different settings by accident. Runs on different datasets are apart too.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from ctrfast.config import RULE_NAMES
from ctrfast.errors import DataError
from ctrfast.lab.run_frame import SETTING_NAMES
from ctrfast.sweep.grid import ordered_names
from ctrfast.sweep.space import SEED

RULE = "scaling.rule"
_DATASET_DIGITS = 8
_NO_EFFECT = {"log_every_steps", "checkpoint_every_steps"}  # on what a run comes to


@dataclass(frozen=True)
class Line:
    """label: what sets its runs apart. frame: their rows. place: of its style; a rule alone looks alike everywhere."""

    label: str
    frame: pd.DataFrame
    place: int = 0


def lines_of(frame: pd.DataFrame, *, x: Collection[str] = (), by: Sequence[str] | None = None) -> list[Line]:
    """Rows of a frame by the settings that set them apart: rules in their own order, all else in that of the rows.

    Args:
        frame: of `runs` or `curves`.
        x: settings on the x axis, which set no line apart.
        by: the settings that do; not set: all that differ.

    Raises:
        DataError: `by` leaves runs together that differ in more than the seed.
    """
    chosen = differing(frame, without=(*x, SEED)) if by is None else list(by)
    for name in chosen:
        need(frame, name)
    if not chosen:
        return [Line("all runs", frame)]
    grouped = frame.groupby(chosen, sort=False, dropna=False)
    found = [Line(_label(chosen, values), part, place) for place, (values, part) in enumerate(grouped)]
    if chosen == [RULE] and {line.label for line in found} <= set(RULE_NAMES):
        found = sorted((replace(line, place=RULE_NAMES.index(line.label)) for line in found), key=_place)
    for line in found:
        cells = [part for _, part in line.frame.groupby(list(x), dropna=False)] if x else [line.frame]
        for mixed in (name for cell in cells for name in differing(cell, without=(*x, SEED))):
            raise DataError(
                f"Runs of one line must differ in the seed alone. Those of {line.label} also differ in {mixed}. "
                "Filter the frame, or name it in `by`.",
                path=mixed,
            )
    return found


def differing(frame: pd.DataFrame, *, without: Collection[str]) -> list[str]:
    """Settings with more than one value, `dataset` among them; rules come first, seeds last."""
    told = [name for name in (*SETTING_NAMES, "dataset") if name not in _NO_EFFECT]
    names = [name for name in told if name in frame and name not in without]
    return ordered_names(name for name in names if frame[name].nunique(dropna=False) > 1)


def over_seeds(frame: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Per value of x, rising: mean, sample standard deviation (missing for one run) and count of y."""
    return frame.groupby(x)[y].agg(["mean", "std", "count"]).rename(columns={"std": "sd"}).sort_index()


def need(frame: pd.DataFrame, *names: str) -> None:
    """Refuse a frame without these columns, or without a row.

    Raises:
        DataError: `path` names the column.
    """
    for name in names:
        if name not in frame:
            problem = f"The frame must have the column `{name}`."
            raise DataError(
                f"{problem} Make it with ctrfast.lab from folders of runs that have this figure.", path=name
            )
    if frame.empty:
        raise DataError("The frame must have at least one row. Got none. Look at what it was filtered by.")


def with_figures(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    """The rows that have a value in each of these columns.

    Raises:
        DataError: there is none.
    """
    need(frame, *names)
    kept = frame.dropna(subset=list(names))
    if kept.empty:
        told = " and ".join(f"`{name}`" for name in names)
        raise DataError(f"At least one run must have {told}. Got none of {len(frame):,} rows. Let runs end first.")
    return kept


def _place(line: Line) -> int:
    return line.place


def _label(names: Sequence[str], values: tuple[Any, ...]) -> str:
    return ", ".join(_told(name, value) for name, value in zip(names, values, strict=True))


def _told(name: str, value: Any) -> str:
    last = name.rpartition(".")[2]
    if pd.isna(value):
        return f"{last} not set"
    if name == "dataset":
        return f"dataset {value[:_DATASET_DIGITS]}"
    if isinstance(value, str):
        return f"hidden {value}" if name == "model.hidden" else value
    number = f"{value:,}" if name.endswith("batch_size") else f"{value:g}"
    return f"{last.replace('_', ' ')} {number}"
