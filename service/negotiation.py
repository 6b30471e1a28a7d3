"""Which of two forms a caller's `Accept` header asks for (RFC 9110, section 12.5.1).

Browsers name `text/html` first; curl and HTTP libraries send `*/*` or nothing and get the usual form.
"""

from __future__ import annotations


def prefers_html(accept: str) -> bool:
    """Whether a page is asked for, rather than JSON."""
    return _prefers("text/html", "application/json", accept)


def prefers_json(accept: str) -> bool:
    """Whether JSON is asked for, rather than a stream of events."""
    return _prefers("application/json", "text/event-stream", accept)


def _prefers(wanted: str, usual: str, accept: str) -> bool:
    """`wanted` is named, and has a higher weight than `usual` has."""
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        weights[kind] = _weight(parameters)
    return weights.get(wanted, 0.0) > weights.get(usual, 0.0)


def _weight(parameters: list[str]) -> float:
    """The `q` of a media range; 1 where there is none, 0 where it cannot be read."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            digits = value.strip()
            return float(digits) if digits.replace(".", "", 1).isdecimal() and digits.isascii() else 0.0
    return 1.0
