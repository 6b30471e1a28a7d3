"""Scoring requests' JSON -> columns of raw values. No web framework in here.

predict   {"instances": [{...}, ...]}                                rows, as TensorFlow Serving has it
          {"inputs": {"C1": [...], ...}}                             columns
score     {"model", "context": {...}, "candidates": [{...}, ...]}    one context, many candidates

Plain rows are coded from their bytes (`ctrfast.data.json_rows`); their values are decoded only for whom needs them,
such as a shadow. Others are decoded into a type that is made from the schema, which is faster than into mappings, and
gives columns without a look-up for each cell. A body that it refuses is decoded again into mappings, for the error's
words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Raw, Struct
from msgspec.structs import astuple

from ctrfast.data.encode import Encoded, Encoder
from ctrfast.data.rows import Column, Repeated, columns_of, unknown_column
from ctrfast.errors import DataError
from ctrfast.score import Scorer
from service.problems import BadRowError, BadValueError, MalformedBodyError, TooLargeError

_PLACE = re.compile(r" - at `(?:key in )?\$\.?(.*?)(?:\[\.\.\.\])?`$")
_FIELD = re.compile(r"Object (?:missing required|contains unknown) field `(.{1,100})`", re.DOTALL)

# What is around the list of a predict request; the list itself is for `JsonRows` to check.
_AROUND_INSTANCES = re.compile(
    rb"[ \t\r\n]*+\{[ \t\r\n]*+"
    rb'(?:"signature_name"[ \t\r\n]*+:[ \t\r\n]*+"[ !#-\[\]-~]*+"[ \t\r\n]*+,[ \t\r\n]*+)?+"instances"[ \t\r\n]*+:'
)
_UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)

T = TypeVar("T")
Place = Callable[[str | None], str]  # an encoder's "row.column" -> the value's path in the body
Coded = tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Impressions:
    """What a request wants scored.

    values: gives the raw values (R,) by column. rows: R. place: of a bad value. is_whole: every column is there with R
    values. coded: local ids (R, S) and raw numbers (R, N), where the version that it was read for has them already.
    """

    values: Callable[[], Mapping[str, Column]]
    rows: int
    place: Place
    is_whole: bool = False
    coded: Coded | None = None

    def first(self) -> Mapping[str, object] | None:
        """The first row; None where there is none."""
        if not self.rows:
            return None
        return {
            name: column.value if isinstance(column, Repeated) else column[0] for name, column in self.values().items()
        }

    def decoded(self) -> Impressions:
        """The same with its values at hand, for what outlives the request: it holds no body."""
        values = self.values()
        return replace(self, values=lambda: values)

    def encoded_by(self, encoder: Encoder) -> Encoded:
        """Inputs of the version that it was read for. Raises DataError."""
        if self.coded is not None:
            return encoder.encode_coded(*self.coded)
        return encoder.encode_values(self.values(), self.rows)

    def scored_by(self, scorer: Scorer) -> npt.NDArray[np.float32]:
        """Probabilities (R,) of any version with the same columns. Raises DataError."""
        return scorer.score(scorer.encoder.encode_values(self.values(), self.rows))


class ScoreBody(Struct, forbid_unknown_fields=True):
    """A candidate's fields join the context's, and win where both name one."""

    model: str
    candidates: Raw
    context: Raw = Raw(b"{}")
    version: int | None = None
    alias: str | None = None


class _PredictBody(Struct, forbid_unknown_fields=True):
    """Rows or columns, never both. signature_name: taken for TensorFlow Serving's clients; there is one signature."""

    instances: list[dict[str, Any]] | None = None
    inputs: dict[str, list[Any]] | None = None
    signature_name: str | None = None


_score_decoder = msgspec.json.Decoder(ScoreBody)
_predict_decoder = msgspec.json.Decoder(_PredictBody)
_context_decoder = msgspec.json.Decoder(dict[str, Any])
_candidates_decoder = msgspec.json.Decoder(list[dict[str, Any]])


def read_score(body: bytes) -> ScoreBody:
    """A score request, its impressions still unread. Raises MalformedBodyError, BadValueError."""
    return decode(_score_decoder, body)


class BodyReader:
    """Reads the impressions of one model version. max_rows: of one request."""

    def __init__(self, encoder: Encoder) -> None:
        from ctrfast.data.json_rows import JsonRows  # compiled code: half a second that a start need not wait for

        self._schema = schema = encoder.fitted.schema_
        self._plain = JsonRows.of(encoder)
        row, candidate = _row_type(schema.columns, None), _row_type(schema.columns, UNSET)
        instances: Any = list[row] | None  # type: ignore[valid-type]
        body = msgspec.defstruct("Body", [("instances", instances, None)], bases=(_PredictBody,))
        self._predict: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)
        self._context = msgspec.json.Decoder(row)
        self._candidates = msgspec.json.Decoder(list[candidate])  # type: ignore[valid-type]

    def predict(self, body: bytes, max_rows: int) -> tuple[Impressions, bool]:
        """The impressions of a predict request, and whether they came as columns.

        Raises:
            MalformedBodyError, BadValueError, TooLargeError.
            BadRowError: a column is unknown.
        """
        coded = self._code_instances(body, max_rows)
        if coded is not None:

            def values() -> Mapping[str, Column]:
                return self._decode_predict(body, max_rows)[0].values()

            return Impressions(values, len(coded[0]), _in_instances, coded=coded), False
        return self._decode_predict(body, max_rows)

    def _code_instances(self, body: bytes, max_rows: int) -> Coded | None:
        """The instances, where they are plain and first in the body."""
        if self._plain is None or (before := _AROUND_INSTANCES.match(body)) is None:
            return None
        end = body.rfind(b"}")
        if body[end + 1 :].strip(b" \t\r\n"):
            return None
        return self._plain.read(body[before.end() : end], max_rows)

    def _decode_predict(self, body: bytes, max_rows: int) -> tuple[Impressions, bool]:
        try:
            parsed = self._predict.decode(body)
        except _UNREADABLE:
            parsed = decode(_predict_decoder, body)
        if (parsed.instances is None) == (parsed.inputs is None):
            raise BadValueError("Give either `instances` (rows) or `inputs` (columns).", path="instances")
        if parsed.inputs is not None:
            return self._of_inputs(parsed.inputs, max_rows), True
        rows = parsed.instances
        _refuse_more(len(rows), max_rows, "instances")
        if not rows or isinstance(rows[0], dict):
            return self._of_rows(rows, _in_instances), False
        columns = zip(*map(astuple, rows), strict=True)
        named = dict(zip(self._schema.columns, columns, strict=True))
        return Impressions(lambda: named, len(rows), _in_instances, is_whole=True), False

    def score(self, body: ScoreBody, max_rows: int) -> Impressions:
        """The candidates of a score request. What all of them have from the context is encoded once.

        Raises:
            MalformedBodyError, BadValueError, TooLargeError.
            BadRowError: a column is unknown.
        """
        if self._plain is not None:
            coded = self._plain.read(bytes(body.candidates), max_rows, bytes(body.context))
            if coded is not None:

                def values() -> Mapping[str, Column]:
                    return self._decode_score(body, max_rows).values()

                return Impressions(values, len(coded[0]), partial(_in_score, body), coded=coded)
        return self._decode_score(body, max_rows)

    def _decode_score(self, body: ScoreBody, max_rows: int) -> Impressions:
        try:
            context = self._context.decode(body.context)
            candidates = self._candidates.decode(body.candidates)
        except _UNREADABLE:
            return self._score_by_name(body, max_rows)
        _refuse_more(len(candidates), max_rows, "candidates")
        if not candidates or isinstance(context, dict):
            return self._score_by_name(body, max_rows)
        own = zip(*map(astuple, candidates), strict=True)
        joined = zip(self._schema.columns, astuple(context), own, strict=True)
        columns = {name: _join(shared, column) for name, shared, column in joined}
        return Impressions(lambda: columns, len(candidates), partial(_in_score, body))

    def _score_by_name(self, body: ScoreBody, max_rows: int) -> Impressions:
        context = decode(_context_decoder, bytes(body.context), "context")
        candidates = decode(_candidates_decoder, bytes(body.candidates), "candidates")
        _refuse_more(len(candidates), max_rows, "candidates")
        return self._of_rows([{**context, **candidate} for candidate in candidates], partial(_in_score, body))

    def _of_rows(self, rows: Sequence[Mapping[str, Any]], place: Place) -> Impressions:
        try:
            columns = columns_of(rows, self._schema)
        except DataError as error:
            raise BadRowError(error.message, path=place(error.path)) from error
        return Impressions(lambda: columns, len(rows), place, is_whole=True)

    def columns(self, columns: Mapping[str, Sequence[object]], rows: int, place: Place) -> Impressions:
        """Impressions that came in columns of equal length. Raises BadRowError: one is unknown."""
        for name in columns:
            if name not in self._schema.columns:
                error = unknown_column(name, self._schema, 0)
                raise BadRowError(error.message, path=place(error.path))
        return Impressions(lambda: columns, rows, place)

    def _of_inputs(self, columns: Mapping[str, Sequence[Any]], max_rows: int) -> Impressions:
        lengths = {len(values) for values in columns.values()}
        if len(lengths) > 1:
            shown = ", ".join(f"{name[:64]}: {len(values)}" for name, values in list(columns.items())[:5])
            raise BadValueError(f"All columns of `inputs` must have the same length. Got {shown}.", path="inputs")
        rows = lengths.pop() if lengths else 0
        _refuse_more(rows, max_rows, "inputs")
        return self.columns(columns, rows, _in_inputs)


def _row_type(names: Sequence[str], default: object) -> Any:
    """A type with an attribute for each column, in order; a mapping where a name can be no attribute's in JSON."""
    attributes = [f"c{index}" for index in range(len(names))]
    try:
        return msgspec.defstruct(
            "Row",
            [(attribute, Any, default) for attribute in attributes],
            rename=dict(zip(attributes, names, strict=True)),
            forbid_unknown_fields=True,
            gc=False,
        )
    except ValueError:  # it holds a quote, a backslash or a control character
        return dict[str, Any]


def _join(shared: object, own: Sequence[object]) -> Column:
    unset = own.count(UNSET)
    if unset == len(own):
        return Repeated(shared)
    return own if not unset else [shared if value is UNSET else value for value in own]


def decode(decoder: msgspec.json.Decoder[T], body: bytes, within: str | None = None) -> T:
    """Decode, or say what is wrong and where. Raises MalformedBodyError, BadValueError."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        text = str(error)
        place = _PLACE.search(text)
        text = _PLACE.sub("", text)
        field = _FIELD.fullmatch(text)
        parts = (within, place and place.group(1), field and field.group(1))
        path = ".".join(part for part in parts if part)
        raise BadValueError(f"{text}.", path=path.replace(".[", "[") or None) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedBodyError(f"The body cannot be read as JSON: {error}.") from error


def _refuse_more(rows: int, max_rows: int, path: str) -> None:
    if rows > max_rows:
        raise TooLargeError(
            f"`{path}` must hold at most {max_rows:,} rows. Got {rows:,}. Send several requests.", path=path
        )


def _in_instances(path: str | None) -> str:
    row, _, name = (path or "").partition(".")
    return f"instances[{row}].{name}" if name else f"instances[{row}]"


def _in_inputs(path: str | None) -> str:
    row, _, name = (path or "").partition(".")
    return f"inputs.{name}[{row}]" if name else "inputs"


def _in_score(body: ScoreBody, path: str | None) -> str:
    row, _, name = (path or "").partition(".")
    if not row.isdigit():
        return "candidates"
    own = _candidates_decoder.decode(body.candidates)
    shared = _context_decoder.decode(body.context)
    if name in shared and name not in own[int(row)]:
        return f"context.{name}"
    return f"candidates[{row}].{name}" if name else f"candidates[{row}]"
