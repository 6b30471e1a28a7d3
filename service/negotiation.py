"""Which of two forms a caller's `Accept` and `Accept-Encoding` headers ask for (RFC 9110, section 12.5).

Browsers name `text/html` first; curl and HTTP libraries send `*/*` or nothing and get the usual form.
"""

from __future__ import annotations


def prefers_html(accept: str) -> bool:
    """Whether a page is asked for, rather than JSON."""
    return _prefers("text/html", "application/json", accept)


def prefers_json(accept: str) -> bool:
    """Whether JSON is asked for, rather than a stream of events."""
    return _prefers("application/json", "text/event-stream", accept)


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an answer may be compressed: gzip is named, and not refused."""
    return _weights(accept_encoding).get("gzip", 0.0) > 0


def _prefers(wanted: str, usual: str, accept: str) -> bool:
    """`wanted` is named, and has a higher weight than `usual` has."""
    weights = _weights(accept)
    return weights.get(wanted, 0.0) > weights.get(usual, 0.0)


def _weights(header: str) -> dict[str, float]:
    """The weight of each form that a header names."""
    weights: dict[str, float] = {}
    for part in header.lower().split(","):
        form, *parameters = (piece.strip() for piece in part.split(";"))
        weights[form] = _weight(parameters)
    return weights


def _weight(parameters: list[str]) -> float:
    """The `q` of a media range; 1 where there is none, 0 where it cannot be read."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            digits = value.strip()
            return float(digits) if digits.replace(".", "", 1).isdecimal() and digits.isascii() else 0.0
    return 1.0
