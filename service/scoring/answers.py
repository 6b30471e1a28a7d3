"""Scores -> JSON."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]


class _Score(msgspec.Struct):
    probability: float
    calibrated: float


class _ScoreAnswer(msgspec.Struct):
    model: str
    version: int
    scores: list[_Score]
    unseen: Mapping[str, int]


_encoder = msgspec.json.Encoder()


def predict_answer(probabilities: Scores, columnar: bool) -> bytes:
    """TensorFlow Serving's answer to rows, or to columns."""
    return _encoder.encode({"outputs" if columnar else "predictions": probabilities.tolist()})


def score_answer(
    model: str, version: int, probabilities: Scores, calibrated: Scores, unseen: Mapping[str, int]
) -> bytes:
    """The answer to one context and many candidates."""
    scores = list(map(_Score, probabilities.tolist(), calibrated.tolist()))
    return _encoder.encode(_ScoreAnswer(model, version, scores, unseen))
