"""What synthetic click logs look like: how common values are, how many there are, how often they are missing.

Numbers follow the published samples of both data sets: cardinalities of the full logs (so that the distinct values of
a synthetic log grow with its rows as those of the real one do), shares of missing values, quantiles of the counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class IdProfile:
    """Values of an id field: rank r = 1, 2, ... has probability proportional to (r + shift) ** -exponent.

    values: how many there are. head: probability of rank 1 beside that law. missing: share of rows; fields with the
    same `missing_group` are missing together. style: how an id reads: 8 hexadecimal digits, or a small integer.
    first: the integer of rank 1, with style "integer"; the following ranks have base + rank.
    """

    values: int
    exponent: float
    shift: float = 0.0
    head: float = 0.0
    missing: float = 0.0
    missing_group: int = 0
    style: Literal["hexadecimal", "integer"] = "hexadecimal"
    first: int = 0
    base: int = 0


@dataclass(frozen=True)
class CountProfile:
    """A heavy-tailed count: exp(normal) - 1, with this median and 90 % quantile, whole, at least `least`."""

    median: float
    upper: float
    missing: float
    missing_group: int
    least: int = 0


@dataclass(frozen=True)
class Profile:
    """A synthetic log. label_rate, auc: what the teacher is set to. weights: shares of the logit's variance.

    pairs: id fields whose vectors interact. hours: length of the log in hours, where it has a time column.
    """

    label_rate: float
    auc: float
    ids: Mapping[str, IdProfile]
    pairs: tuple[str, ...]
    counts: Mapping[str, CountProfile] = field(default_factory=dict)
    weights: tuple[float, float, float] = (0.6, 0.2, 0.2)  # ids, pairs, counts
    hours: int = 0


def _integer(values: int, exponent: float, first: int, base: int, **more: float) -> IdProfile:
    return IdProfile(values, exponent, style="integer", first=first, base=base, **more)  # type: ignore[arg-type]


_CRITEO = Profile(
    label_rate=0.256,
    auc=0.80,
    ids={
        "C1": IdProfile(1_460, 1.9, shift=0.5),
        "C2": IdProfile(583, 1.4, shift=3),
        "C3": IdProfile(10_131_227, 1.02, shift=2, missing=0.035, missing_group=1),
        "C4": IdProfile(2_202_608, 1.15, shift=3, missing=0.035, missing_group=1),
        "C5": IdProfile(305, 2.2),
        "C6": IdProfile(24, 1.6, shift=1, missing=0.123, missing_group=2),
        "C7": IdProfile(12_517, 1.05, shift=15),
        "C8": IdProfile(633, 2.0),
        "C9": IdProfile(3, 3.2),
        "C10": IdProfile(93_145, 1.15, shift=20, head=0.2),
        "C11": IdProfile(5_683, 1.1, shift=8),
        "C12": IdProfile(8_351_593, 1.04, shift=2, missing=0.035, missing_group=1),
        "C13": IdProfile(3_194, 1.15, shift=8),
        "C14": IdProfile(27, 2.0, shift=2),
        "C15": IdProfile(14_992, 1.3, shift=60),
        "C16": IdProfile(5_461_306, 1.08, shift=2, missing=0.035, missing_group=1),
        "C17": IdProfile(10, 1.8),
        "C18": IdProfile(5_652, 1.4, shift=14),
        "C19": IdProfile(2_173, 1.4, head=0.5, missing=0.441, missing_group=3),
        "C20": IdProfile(4, 0.1, missing=0.441, missing_group=3),
        "C21": IdProfile(7_046_547, 1.06, shift=2, missing=0.035, missing_group=1),
        "C22": IdProfile(18, 2.5, shift=1, missing=0.761, missing_group=4),
        "C23": IdProfile(15, 1.7),
        "C24": IdProfile(286_181, 1.3, shift=6, missing=0.035, missing_group=1),
        "C25": IdProfile(105, 1.5, shift=1, missing=0.441, missing_group=3),
        "C26": IdProfile(142_572, 1.2, shift=4, missing=0.441, missing_group=3),
    },
    pairs=("C1", "C2", "C5", "C6", "C8", "C14", "C17", "C20", "C23", "C25"),
    counts={
        "I1": CountProfile(1, 9, 0.453, 11),
        "I2": CountProfile(3, 182, 0.0, 0, least=-2),
        "I3": CountProfile(6, 43, 0.212, 12),
        "I4": CountProfile(4, 18, 0.212, 12),
        "I5": CountProfile(2_790, 34_458, 0.026, 13),
        "I6": CountProfile(32, 276, 0.223, 14),
        "I7": CountProfile(3, 34, 0.042, 15),
        "I8": CountProfile(7, 34, 0.001, 16),
        "I9": CountProfile(38, 260, 0.042, 15),
        "I10": CountProfile(0.6, 1.5, 0.453, 11),
        "I11": CountProfile(1, 6, 0.042, 15),
        "I12": CountProfile(0.3, 1.5, 0.768, 17),
        "I13": CountProfile(4, 20, 0.212, 12),
    },
    weights=(0.5, 0.1, 0.4),
)

_AVAZU = Profile(
    label_rate=0.17,
    auc=0.76,
    ids={
        "C1": _integer(7, 4.4, 1005, 1000),
        "banner_pos": _integer(7, 3.0, 0, -1),
        "site_id": IdProfile(4_737, 1.3, head=0.25),
        "site_domain": IdProfile(7_745, 1.4, head=0.25),
        "site_category": IdProfile(26, 1.6),
        "app_id": IdProfile(8_552, 1.2, head=0.7),
        "app_domain": IdProfile(559, 1.9, head=0.6),
        "app_category": IdProfile(36, 2.2, head=0.5),
        "device_id": IdProfile(2_686_408, 0.7, head=0.83),
        "device_ip": IdProfile(6_729_486, 0.9, shift=5),
        "device_model": IdProfile(8_251, 1.2, shift=5),
        "device_type": _integer(5, 3.2, 1, 2),
        "device_conn_type": _integer(4, 3.0, 0, 1),
        "C14": _integer(2_626, 1.4, 18993, 15700, shift=8),
        "C15": _integer(8, 4.0, 320, 100),
        "C16": _integer(9, 4.0, 50, 200),
        "C17": _integer(435, 1.2, 1722, 1800, head=0.25),
        "C18": _integer(4, 1.4, 0, 0),
        "C19": _integer(68, 1.4, 35, 160, head=0.2),
        "C20": _integer(172, 1.2, -1, 100_000, head=0.45),
        "C21": _integer(60, 1.3, 79, 100, head=0.1),
    },
    pairs=("banner_pos", "site_category", "app_category", "device_conn_type", "C17", "C18", "C19", "C20", "C21"),
    weights=(0.85, 0.15, 0.0),
    hours=240,
)

PROFILES: dict[str, Profile] = {"criteo": _CRITEO, "criteo_1tb": _CRITEO, "avazu": _AVAZU}
