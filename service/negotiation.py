"""Which of several forms a caller's `Accept` header asks for (RFC 9110, section 12.5.1).

Browsers name `text/html` first; curl and HTTP libraries send `*/*` or nothing and get the usual form.
"""

from __future__ import annotations

PARQUET = "application/vnd.apache.parquet"
_HTML, _JSON, _EVENTS = "text/html", "application/json", "text/event-stream"


def prefers_html(accept: str) -> bool:
    """Whether a page is asked for, rather than JSON."""
    return _prefers(_HTML, accept, _JSON)


def prefers_json(accept: str) -> bool:
    """Whether JSON is asked for, rather than a stream of events."""
    return _prefers(_JSON, accept, _EVENTS)


def prefers_parquet(accept: str) -> bool:
    """Whether a parquet file is asked for, rather than JSON or a page."""
    return _prefers(PARQUET, accept, _JSON, _HTML)


def _prefers(wanted: str, accept: str, *others: str) -> bool:
    """`wanted` is named, and has a higher weight than each of the others has."""
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        weights[kind] = _weight(parameters)
    return weights.get(wanted, 0.0) > max(weights.get(other, 0.0) for other in others)


def _weight(parameters: list[str]) -> float:
    """The `q` of a media range; 1 where there is none, 0 where it cannot be read."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            digits = value.strip()
            return float(digits) if digits.replace(".", "", 1).isdecimal() and digits.isascii() else 0.0
    return 1.0
