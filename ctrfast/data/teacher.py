"""The known click model behind synthetic logs: its own AUC is the ceiling that a trained network is measured against.

    logit = b + s * (sqrt(q1) ids + sqrt(q2) pairs + sqrt(q3) counts)         each part with mean 0 and variance 1
    ids    = sum_f w_f(x_f)                             one effect per id, missing included; Avazu: and the hour
    pairs  = sum_{f < g} <v_f(x_f), v_g(x_g)>           low-rank id vectors, as in factorisation machines
    counts = sum_j a_j n_j                              n_j: the normal variate whose exponential the count is

Effects are hashes of (seed, field, rank), so no table is stored, whatever the number of ids. They fade with an id's
frequency: most of the signal lies in ids that are frequent enough to be learned from. b and s are solved on a sample
of its own, such that label rate and AUC are the profile's for each seed.

Rows come in blocks of `BLOCK_ROWS`, each with its own random stream: any number of rows starts with the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ctrfast.data.profiles import CountProfile, IdProfile, Profile

BLOCK_ROWS = 16_384
VECTOR_WIDTH = 4
_SAMPLE_BLOCKS = 4
_RARE = 1 / 200  # share of rows below which an id's effect fades
_UPPER = 1.2815515655446004  # 90 % quantile of the normal distribution

Floats = npt.NDArray[np.float64]
Ranks = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Block:
    """Rows of a synthetic log. ranks: per id field (R,), 0 = missing.

    normals: per numeric field (R,), the normal variate that its count follows from (`count_values`), NaN = missing.
    hour: (R,) hours since the log's start. chance: (R,) uniform in [0, 1): the label is 1 where it is below p.
    """

    ranks: dict[str, Ranks]
    normals: dict[str, Floats]
    hour: Ranks
    chance: Floats


class Teacher:
    """A click model, calibrated for one profile and seed."""

    def __init__(self, profile: Profile, seed: int) -> None:
        self._profile = profile
        self._seed = seed
        names = list(profile.ids)
        self._number = {name: index for index, name in enumerate([*names, *profile.counts])}
        first = np.zeros(1, np.int64)
        self._slopes = {name: _normal(_hash(seed, self._number[name], first)) for name in profile.counts}
        blocks = [self.block(index, _SAMPLE_BLOCKS * BLOCK_ROWS, stream=1) for index in range(_SAMPLE_BLOCKS)]
        parts = np.concatenate([self._parts(block) for block in blocks], axis=1)  # (3, R)
        self._means = parts.mean(axis=1, keepdims=True)
        deviations = parts.std(axis=1, keepdims=True)
        weights = np.sqrt(np.array(profile.weights))[:, None]
        self._weights = weights / np.where(deviations > 0, deviations, 1.0)
        self._scale, self._intercept = 1.0, 0.0
        self._scale, self._intercept = _calibrate(self._mix(parts), profile.auc, profile.label_rate)

    def block(self, index: int, total_rows: int, *, stream: int = 0) -> Block:
        """Draw rows `index * BLOCK_ROWS` and on; `total_rows` of the log sets the pace of its hours alone."""
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self._seed, stream, index])))
        profile = self._profile
        fields: list[IdProfile | CountProfile] = [*profile.ids.values(), *profile.counts.values()]
        groups = {item.missing_group for item in fields}
        absent = {group: rng.random(BLOCK_ROWS) for group in sorted(groups)}
        ranks = {}
        for name, item in profile.ids.items():
            rank = _draw_ranks(item, rng.random(BLOCK_ROWS), rng.random(BLOCK_ROWS) if item.head else None)
            ranks[name] = np.where(absent[item.missing_group] < item.missing, 0, rank)
        activity = rng.standard_normal(BLOCK_ROWS)  # what makes the counts of a row go together
        normals = {}
        for name, count in profile.counts.items():
            own = rng.standard_normal(BLOCK_ROWS)
            normals[name] = np.where(absent[count.missing_group] < count.missing, np.nan, 0.6 * activity + 0.8 * own)
        row = np.arange(index * BLOCK_ROWS, (index + 1) * BLOCK_ROWS)
        return Block(ranks, normals, row * profile.hours // max(total_rows, 1), rng.random(BLOCK_ROWS))

    def probabilities(self, block: Block) -> Floats:
        """Click probabilities (R,) of a block's rows."""
        return _sigmoid(self._intercept + self._scale * self._mix(self._parts(block)))

    def ids(self, name: str, ranks: Ranks) -> npt.NDArray[np.uint32]:
        """32-bit ids (R,) of a hexadecimal field's ranks (R,)."""
        return (_hash(self._seed, self._number[name], ranks, salt=1) >> np.uint64(32)).astype(np.uint32)

    def _mix(self, parts: Floats) -> Floats:
        mixed: Floats = ((parts - self._means) * self._weights).sum(axis=0)
        return mixed

    def _parts(self, block: Block) -> Floats:
        """(3, R) contributions of ids, pairs and counts, not yet scaled."""
        linear = 0.3 * np.cos((block.hour % 24 - 20) * (np.pi / 12)) if self._profile.hours else np.zeros(BLOCK_ROWS)
        total = np.zeros((VECTOR_WIDTH, BLOCK_ROWS))  # sum of vectors
        squares = np.zeros(BLOCK_ROWS)  # sum of squared norms
        for name, ranks in block.ranks.items():
            weight = _weight(self._profile.ids[name], ranks)
            linear += weight * _normal(_hash(self._seed, self._number[name], ranks, salt=2))
            if name in self._profile.pairs:
                for axis in range(VECTOR_WIDTH):
                    vector = weight * _normal(_hash(self._seed, self._number[name], ranks, salt=3 + axis))
                    total[axis] += vector
                    squares += vector**2
        counts = np.zeros(BLOCK_ROWS)
        for name, normals in block.normals.items():
            counts += self._slopes[name] * np.nan_to_num(normals, nan=-0.5)  # a missing count says something, too
        return np.stack([linear, 0.5 * ((total**2).sum(axis=0) - squares), counts])


def count_values(profile: CountProfile, normals: Floats) -> Floats:
    """Whole counts (R,) of normal variates (R,); NaN stays NaN."""
    center = np.log(profile.median + 1 - profile.least)
    spread = (np.log(profile.upper + 1 - profile.least) - center) / _UPPER
    counts: Floats = np.maximum(np.floor(np.exp(center + spread * normals) - 0.5), 0) + profile.least
    return counts


def expected_auc(scores: Floats, probabilities: Floats) -> float:
    """AUC that scores (R,) reach on average over labels drawn with these probabilities (R,)."""
    order = np.argsort(scores)
    positive = probabilities[order]
    negative_below = np.cumsum(1 - positive) - (1 - positive)
    own = (positive * (1 - positive)).sum()  # a row is not compared with itself
    return float((positive * negative_below).sum() / (positive.sum() * (1 - positive).sum() - own))


def _calibrate(scores: Floats, auc: float, label_rate: float) -> tuple[float, float]:
    """Scale and intercept, such that sigmoid(intercept + scale * score) has this AUC and mean."""
    low, high = 0.01, 20.0
    for _ in range(25):
        scale = (low + high) / 2
        intercept = _intercept(scale * scores, label_rate)
        if expected_auc(scores, _sigmoid(intercept + scale * scores)) < auc:
            low = scale
        else:
            high = scale
    return scale, intercept


def _intercept(logits: Floats, label_rate: float) -> float:
    """Newton's method on the mean probability, which rises with the intercept."""
    intercept = float(np.log(label_rate / (1 - label_rate)))
    for _ in range(12):
        probability = _sigmoid(intercept + logits)
        slope = (probability * (1 - probability)).mean()
        intercept += float(np.clip((label_rate - probability.mean()) / slope, -2, 2))
    return intercept


def _draw_ranks(profile: IdProfile, uniform: Floats, head: Floats | None) -> Ranks:
    """Ranks by the inverse of the law's integral: close to the law itself, and no table of probabilities."""
    low, high = 1.0 + profile.shift, profile.values + 1.0 + profile.shift
    power = 1.0 - profile.exponent
    if abs(power) < 1e-9:
        place = low * (high / low) ** uniform
    else:
        place = (low**power + uniform * (high**power - low**power)) ** (1 / power)
    ranks = np.clip(np.floor(place - profile.shift), 1, profile.values).astype(np.int64)
    return ranks if head is None else np.where(head < profile.head, 1, ranks)


def _weight(profile: IdProfile, ranks: Ranks) -> Floats:
    """(R,) size of an id's effect: 1 for frequent ids, falling with the root of its share of rows for rare ones."""
    low, high, power = 1.0 + profile.shift, profile.values + 1.0 + profile.shift, 1.0 - profile.exponent
    mass = np.log(high / low) if abs(power) < 1e-9 else (high**power - low**power) / power
    share = (ranks + profile.shift + 0.5) ** -profile.exponent / mass
    weight = np.sqrt(share / (share + _RARE))
    return np.where(ranks == 0, 1.0, weight)


def _hash(seed: int, field: int, ranks: Ranks, *, salt: int = 0) -> Hashes:
    """SplitMix64 of (seed, field, salt, rank). Source: Steele, Lea and Flood 2014, Fig. 14 (mix64 variant 13)."""
    key = _key(seed, field, salt)
    mixed: Hashes = ranks.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@lru_cache(maxsize=4096)
def _key(seed: int, field: int, salt: int) -> np.uint64:
    key: np.uint64 = np.random.SeedSequence([seed, field, salt]).generate_state(1, np.uint64)[0]
    return key


def _normal(hashes: Hashes) -> Floats:
    """About standard normal: the sum of a hash's four 16-bit parts, centred and scaled (Irwin-Hall)."""
    parts = np.ascontiguousarray(hashes).view(np.uint16).reshape(-1, 4)
    values: Floats = (parts.sum(axis=1, dtype=np.int64) - 2 * 65535) / (65536 / np.sqrt(3))
    return values


def _sigmoid(logits: Floats) -> Floats:
    values: Floats = 1 / (1 + np.exp(-logits))
    return values
