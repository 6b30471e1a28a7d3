"""Whether a caller's `Accept` header asks for a page rather than for JSON (RFC 9110, section 12.5.1).

Browsers name `text/html` first; curl and HTTP libraries send `*/*` or nothing and get JSON.
"""

from __future__ import annotations


def prefers_html(accept: str) -> bool:
    """`text/html` is named, and has a higher weight than `application/json` has."""
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        weights[kind] = _weight(parameters)
    return weights.get("text/html", 0.0) > weights.get("application/json", 0.0)


def _weight(parameters: list[str]) -> float:
    """The `q` of a media range; 1 where there is none, 0 where it cannot be read."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            digits = value.strip()
            return float(digits) if digits.replace(".", "", 1).isdecimal() and digits.isascii() else 0.0
    return 1.0
