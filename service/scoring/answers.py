"""Scores -> JSON."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from service.scoring.course import Scored

Scores = npt.NDArray[np.float32]


class _Score(msgspec.Struct):
    probability: float
    calibrated: float


class _LabelledScore(msgspec.Struct):
    probability: float
    calibrated: float
    probabilities: Mapping[str, float]


class _ScoreAnswer(msgspec.Struct):
    model: str
    version: int
    scores: list[_Score] | list[_LabelledScore]
    unseen: Mapping[str, int]


_encoder = msgspec.json.Encoder()


def predict_answer(probabilities: Scores, columnar: bool) -> bytes:
    """TensorFlow Serving's answer to rows, or to columns: (R,), or (R, T) of several labels."""
    return _encoder.encode({"outputs" if columnar else "predictions": probabilities.tolist()})


def score_answer(scored: Scored) -> bytes:
    """The answer to one context and many candidates: each's probability, and where there are several, of each label."""
    served, first, calibrated = scored.served, scored.probabilities.tolist(), scored.calibrated.tolist()
    scores: list[_Score] | list[_LabelledScore]
    if scored.tasks:
        by_label = [dict(zip(scored.tasks, row, strict=True)) for row in scored.by_label.tolist()]
        scores = list(map(_LabelledScore, first, calibrated, by_label))
    else:
        scores = list(map(_Score, first, calibrated))
    return _encoder.encode(_ScoreAnswer(served.name, served.version, scores, scored.unseen))


def tensors(scored: Scored) -> dict[str, Scores]:
    """What is given by name: `probability` and `calibrated` (R,), and of several labels `probabilities` (R, T)."""
    of_all = {"probabilities": scored.by_label} if scored.tasks else {}
    return {"probability": scored.probabilities, "calibrated": scored.calibrated, **of_all}
