"""Why a row has its score: what each field adds, and which pairs of fields add together, on the logit scale.

    c_i    = f(x) - f(x without i)                                                       contribution of field i
    c_ij   = f(x) - f(x without i) - f(x without j) + f(x without i and j)               what i and j add together

f is the logit; a field is taken out by giving it its default, the missing value. Contributions need not sum to f(x):
where fields interact, what two of them add together is in the contribution of each. For a linear model c_i is exactly
w_i(x_i) - w_i(missing), and every c_ij is 0.

    explained = explain_score(Scorer.load(path), {"I1": 3, "C1": "68fd1e64"}, pairs=5)
    explained.probability, explained.fields[0].name, explained.fields[0].contribution
    explained.pairs[0]                       # ("C1", "I1"): what the strongest of the pairs adds

Two batched passes: every field alone, then the pairs of the strongest ones. Scores are float32 probabilities, so that
logits above about 10 are known to a few digits only.

Source: Robnik-Sikonja and Kononenko 2008, "Explaining Classifications For Individual Instances", IEEE TKDE 20(5), with
log odds and one default value; Friedman and Popescu 2008, arXiv:0811.1679 (pairs).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ctrfast.calibration import logits_of
from ctrfast.data.encode import Encoded, Encoder
from ctrfast.errors import ConfigError

MOST_PAIRED = 50  # fields whose pairs are asked for: 1,225 rows


class Model(Protocol):
    """What is explained: a `Scorer`."""

    encoder: Encoder

    def score(self, encoded: Encoded) -> npt.NDArray[np.float32]:
        """Probabilities (R,)."""


@dataclass(frozen=True)
class FieldContribution:
    """raw: the value as it was given, `None` where it was not. unseen: it, or one of a list, has the unseen id."""

    name: str
    raw: object
    contribution: float
    unseen: bool


@dataclass(frozen=True)
class PairContribution:
    """first: the stronger one of the two fields."""

    first: str
    second: str
    contribution: float


@dataclass(frozen=True)
class Explanation:
    """A row's score. base: logit of a row without any value. fields, pairs: all, the largest in size first."""

    probability: float
    logit: float
    base: float
    fields: tuple[FieldContribution, ...]
    pairs: tuple[PairContribution, ...]


def explain_score(model: Model, row: Mapping[str, object], *, pairs: int = 5) -> Explanation:
    """Take one JSON-like row apart.

    Args:
        model: scores rows.
        row: raw values by column; absent ones are missing.
        pairs: of how many fields, the strongest ones, all pairs are looked at; below 2 there are none.

    Raises:
        DataError: a name is unknown or a value has the wrong type; `path` is "0.field".
        ConfigError: `pairs` is negative or above 50.
    """
    if not 0 <= pairs <= MOST_PAIRED:
        raise ConfigError(f"`pairs` must be 0 to {MOST_PAIRED}. Got pairs={pairs}.", path="pairs")
    schema = model.encoder.fitted.schema_
    whole = model.encoder.encode_rows([row])
    nothing = model.encoder.encode_rows([{}])
    names = (*schema.numeric_names, *schema.id_names)
    columns = [*(field.source for field in schema.numeric_fields), *(field.source for field in schema.id_fields)]

    alone = [frozenset({place}) for place in range(len(names))]
    logit, base, *without = _ablated(model, whole, nothing, [frozenset(), frozenset(range(len(names))), *alone])
    contributions = [logit - rest for rest in without]
    order = sorted(range(len(names)), key=lambda place: -abs(contributions[place]))
    paired = list(itertools.combinations(order[:pairs], 2))
    both = _ablated(model, whole, nothing, [frozenset(pair) for pair in paired])
    together = [
        PairContribution(names[i], names[j], logit - without[i] - without[j] + rest)
        for (i, j), rest in zip(paired, both, strict=True)
    ]
    return Explanation(
        probability=float(1 / (1 + np.exp(-logit))),
        logit=logit,
        base=base,
        fields=tuple(
            FieldContribution(names[i], row.get(columns[i]), contributions[i], whole.unseen.get(names[i], 0) > 0)
            for i in order
        ),
        pairs=tuple(sorted(together, key=lambda pair: -abs(pair.contribution))),
    )


def _ablated(model: Model, whole: Encoded, nothing: Encoded, left_out: Sequence[frozenset[int]]) -> list[float]:
    """Logits of a row without some of its fields. left_out: places among the numeric fields, then the id fields."""
    if not left_out:
        return []
    schema = model.encoder.fitted.schema_
    numeric = len(schema.numeric_names)
    out = np.zeros((len(left_out), numeric + len(schema.id_names)), bool)  # (R, N + F)
    for row, places in enumerate(left_out):
        out[row, list(places)] = True
    of_slots = np.repeat(out[:, numeric:], [field.slots for field in schema.id_fields], axis=1)  # (R, S)
    ids = np.where(of_slots, nothing.ids, whole.ids)
    numbers = np.where(out[:, :numeric], nothing.numbers, whole.numbers)
    logits: list[float] = logits_of(model.score(Encoded(ids, numbers, {}, len(ids)))).tolist()
    return logits
