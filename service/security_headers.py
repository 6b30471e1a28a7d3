"""Headers that every answer leaves with.

An answer may bring a Content-Security-Policy or a Cache-Control of its own; what it does not say is as strict as can
be. No page of the service may be framed.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders

_FIXED = (
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
)
_NO_FRAMES = "frame-ancestors 'none'"


def secure(headers: MutableHeaders) -> None:
    """Add them to an answer's headers."""
    for name, value in _FIXED:
        headers[name] = value
    headers.setdefault("cache-control", "no-store")
    policy = headers.get("content-security-policy", "default-src 'none'")
    headers["content-security-policy"] = f"{policy}; {_NO_FRAMES}"
