"""Unseen values of id fields in later rows: how many to expect, and when to warn.

    expected = (u + r) / R      u of R training rows have the unseen id, r a value that occurs min_count times

Source: Good 1953, "The population frequencies of species and the estimation of population parameters" (Good-Turing).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ctrfast.data.shards import Dataset
from ctrfast.schema import IdField

UNSEEN_SHARE = 0.2
UNSEEN_ABOVE_EXPECTED = 0.1
LATER_ROWS = "train on later rows, or prepare again with a later vocabulary."


@dataclass(frozen=True)
class UnseenWarning:
    """share: of the values in the split that has most. is_change: clearly above what was to be expected."""

    share: float
    is_change: bool
    what: str
    remedy: str


def unseen_expected(unseen: int, rare_rows: int, rows: int) -> float:
    """Share of rows that would be unseen in a split drawn as the training split was (Good-Turing).

    Args:
        unseen: training rows with the unseen id.
        rare_rows: training rows whose value occurs exactly min_count times.
        rows: all training rows.
    """
    return (unseen + rare_rows) / rows if rows else 0.0


def highest_unseen(shares: Mapping[str, float]) -> tuple[str, float]:
    """The later split with the highest share, and that share. shares: by split, also train."""
    later = {split: share for split, share in shares.items() if split != "train"}
    split = max(later, key=lambda name: (later[name], name == "test"))
    return split, later[split]


def unseen_warning(shares: Mapping[str, float], expected: float) -> UnseenWarning | None:
    """What to say of a field, if anything. shares: of unseen values by split."""
    split, share = highest_unseen(shares)
    if share <= UNSEEN_SHARE:
        return None
    is_change = share > expected + UNSEEN_ABOVE_EXPECTED
    if is_change:
        remedy = f"Its values change with time: {LATER_ROWS}"
    else:
        remedy = "Its values seldom repeat: prepare more data, or lower min_count where it is above 1."
    what = f"{share:.1%} of its values in {split} are unseen; {_percent(expected)} were to be expected."
    return UnseenWarning(share, is_change, what, remedy)


def min_count_of(dataset: Dataset, field: IdField) -> int:
    """Below how many training rows a value of a field is unseen; 1 where the dataset does not tell."""
    if field.min_count is not None:
        return field.min_count
    found = dataset.manifest.preparation.get("min_count")
    return found if isinstance(found, int) else 1


def _percent(share: float) -> str:
    return f"{share:.3%}" if 0 < share < 0.01 else f"{share:.1%}"
