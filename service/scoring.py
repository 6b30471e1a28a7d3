"""Scoring requests: decode, encode, score, answer. No web framework in here.

predict   {"instances": [{...}, ...]} -> {"predictions": [...]}      rows, as TensorFlow Serving has it
          {"inputs": {"C1": [...], ...}} -> {"outputs": [...]}       columns
score     {"model", "context": {...}, "candidates": [{...}, ...]}    one context, many candidates
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from ctrfast.errors import DataError
from service.problems import BadRowError, BadValueError, MalformedBodyError, TooLargeError
from service.registry import LATEST
from service.shelf import Served

Row = Mapping[str, Any]

_PLACE = re.compile(r" - at `(?:key in )?\$\.?(.*?)(?:\[\.\.\.\])?`$")


class PredictBody(msgspec.Struct, forbid_unknown_fields=True):
    """Rows or columns, never both. signature_name: taken for TensorFlow Serving's clients; there is one signature."""

    instances: list[dict[str, Any]] | None = None
    inputs: dict[str, list[Any]] | None = None
    signature_name: str | None = None


class ScoreBody(msgspec.Struct, forbid_unknown_fields=True):
    """A candidate's fields join the context's, and win where both name one."""

    model: str
    candidates: list[dict[str, Any]]
    context: dict[str, Any] = {}
    version: int | None = None
    alias: str = LATEST


@dataclass(frozen=True)
class Answer:
    """An encoded answer with what is counted about it."""

    content: bytes
    rows: int
    unseen: Mapping[str, int]


T = TypeVar("T")

_predict_decoder = msgspec.json.Decoder(PredictBody)
_score_decoder = msgspec.json.Decoder(ScoreBody)


def decode_predict(body: bytes, max_rows: int) -> tuple[Sequence[Row], bool]:
    """The rows of a predict request, and whether they came as columns.

    Raises:
        MalformedBodyError, BadValueError, TooLargeError.
    """
    parsed = _decode(_predict_decoder, body)
    if (parsed.instances is None) == (parsed.inputs is None):
        raise BadValueError("Give either `instances` (rows) or `inputs` (columns).", path="instances")
    if parsed.instances is not None:
        _refuse_more(len(parsed.instances), max_rows, "instances")
        return parsed.instances, False
    return _rows_of(parsed.inputs or {}, max_rows), True


def decode_score(body: bytes, max_rows: int) -> ScoreBody:
    """A score request. Raises MalformedBodyError, BadValueError, TooLargeError."""
    parsed = _decode(_score_decoder, body)
    _refuse_more(len(parsed.candidates), max_rows, "candidates")
    return parsed


def answer_predict(served: Served, rows: Sequence[Row], columnar: bool) -> Answer:
    """Score the rows of a predict request.

    Raises:
        BadRowError: a field is unknown or has the wrong type; `path` names row and field.
    """
    try:
        encoded = served.scorer.encoder.encode_rows(rows)
    except DataError as error:
        raise BadRowError(error.message, path=_predict_path(error.path, columnar)) from error
    scores = served.scorer.score(encoded).tolist()
    content = msgspec.json.encode({"outputs" if columnar else "predictions": scores})
    return Answer(content, len(scores), encoded.unseen)


def answer_score(served: Served, body: ScoreBody) -> Answer:
    """Score the candidates of a score request. Raises BadRowError."""
    try:
        encoded = served.scorer.encoder.encode_rows([{**body.context, **candidate} for candidate in body.candidates])
    except DataError as error:
        raise BadRowError(error.message, path=_score_path(error.path, body)) from error
    probabilities = served.scorer.score(encoded)
    calibrated = served.scorer.calibrate(probabilities).tolist()
    content = {
        "model": served.name,
        "version": served.version,
        "scores": [
            {"probability": probability, "calibrated": mended}
            for probability, mended in zip(probabilities.tolist(), calibrated, strict=True)
        ],
        "unseen": encoded.unseen,
    }
    return Answer(msgspec.json.encode(content), len(calibrated), encoded.unseen)


def _decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        text = str(error)
        place = _PLACE.search(text)
        raise BadValueError(f"{_PLACE.sub('', text)}.", path=place.group(1) or None if place else None) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedBodyError(f"The body cannot be read as JSON: {error}.") from error


def _rows_of(columns: Mapping[str, list[Any]], max_rows: int) -> Sequence[Row]:
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        shown = ", ".join(f"{name[:64]}: {len(values)}" for name, values in list(columns.items())[:5])
        raise BadValueError(f"All columns of `inputs` must have the same length. Got {shown}.", path="inputs")
    rows = lengths.pop() if lengths else 0
    _refuse_more(rows, max_rows, "inputs")
    names = list(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _refuse_more(rows: int, max_rows: int, path: str) -> None:
    if rows > max_rows:
        raise TooLargeError(
            f"`{path}` must hold at most {max_rows:,} rows. Got {rows:,}. Send several requests.", path=path
        )


def _predict_path(path: str | None, columnar: bool) -> str:
    row, _, name = (path or "").partition(".")
    if columnar:
        return f"inputs.{name}[{row}]" if name else "inputs"
    return f"instances[{row}].{name}" if name else f"instances[{row}]"


def _score_path(path: str | None, body: ScoreBody) -> str:
    row, _, name = (path or "").partition(".")
    if not row.isdigit():
        return "candidates"
    if name in body.context and name not in body.candidates[int(row)]:
        return f"context.{name}"
    return f"candidates[{row}].{name}" if name else f"candidates[{row}]"
