"""One pass through encoder and network for the impressions of several requests: what arrays cost is paid once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from ctrfast.data.encode import Encoded, Encoder
from ctrfast.errors import DataError
from ctrfast.score import Scorer
from service.scoring.bodies import Impressions

Ids = npt.NDArray[np.int32]
Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Part:
    """What one request gets. probabilities: (R,), or (R, T) of several labels. ids: (R, S), local."""

    probabilities: Scores
    ids: Ids


@dataclass(frozen=True, slots=True)
class Pass:
    """parts: of each request, or why its impressions cannot be encoded. encoded: all others' together."""

    parts: Sequence[Part | DataError]
    encoded: Encoded
    encode_s: float
    model_s: float


def score_together(scorer: Scorer, requests: Sequence[Impressions]) -> Pass:
    """Score the impressions of some requests; one that holds a bad value spoils none of the others."""
    started = time.perf_counter()
    encoded, errors = _encoded(scorer.encoder, requests)
    coded = time.perf_counter()
    probabilities = scorer.predict(encoded)
    parts: list[Part | DataError] = []
    start = 0
    for request, error in zip(requests, errors, strict=True):
        if error is not None:
            parts.append(error)
            continue
        end = start + request.rows
        parts.append(Part(probabilities[start:end], encoded.ids[start:end]))
        start = end
    return Pass(parts, encoded, coded - started, time.perf_counter() - coded)


def _encoded(encoder: Encoder, requests: Sequence[Impressions]) -> tuple[Encoded, Sequence[DataError | None]]:
    """The requests' impressions one after the other, but for those with an error."""
    coded = [request.coded for request in requests if request.coded is not None]
    if coded and len(coded) == len(requests):
        ids, numbers = (np.concatenate(parts) for parts in zip(*coded, strict=True))
        return encoder.encode_coded(ids, numbers), [None] * len(requests)
    if len(requests) > 1 and all(request.is_whole for request in requests):
        names = encoder.fitted.schema_.input_columns
        values = [request.values() for request in requests]
        columns = {name: list(chain.from_iterable([each[name] for each in values])) for name in names}  # type: ignore[misc]  # no column of a whole one is Repeated
        try:
            return encoder.encode_values(columns, sum(each.rows for each in requests)), [None] * len(requests)
        except DataError:
            pass  # below it is found whose
    parts: list[Encoded] = []
    errors: list[DataError | None] = []
    for request in requests:
        try:
            parts.append(request.encoded_by(encoder))
            errors.append(None)
        except DataError as error:
            errors.append(error)
    return _one_after_the_other(parts or [encoder.encode_values({}, 0)]), errors


def _one_after_the_other(parts: Sequence[Encoded]) -> Encoded:
    if len(parts) == 1:
        return parts[0]
    unseen: Counter[str] = Counter()
    for part in parts:
        unseen.update(part.unseen)
    ids = np.concatenate([part.ids for part in parts])
    return Encoded(ids, np.concatenate([part.numbers for part in parts]), dict(unseen), len(ids))
