"""Answers that explain: what raw values became, what each of them adds to a score, and drift."""

from __future__ import annotations

from pydantic import BaseModel

from ctrfast.data.explain import FieldEncoding
from ctrfast.drift import FieldDrift
from ctrfast.explain import Explanation


class EncodedRows(BaseModel):
    """What the values of each row became, field by field."""

    model: str
    version: int
    rows: list[list[FieldEncoding]]


class ExplainedRows(BaseModel):
    """What each field of each row adds to its score, on the logit scale."""

    model: str
    version: int
    rows: list[Explanation]


class ModelDrift(BaseModel):
    """Live traffic of the last hours against the training rows; of the process that answers.

    psi: population stability index. psi_chance: what rows like the training rows stay below 999 times in 1,000.
    """

    model: str
    version: int
    hours: int
    rows: int
    fields: list[FieldDrift]
