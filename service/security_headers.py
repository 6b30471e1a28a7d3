"""Headers that every answer leaves with.

An answer may bring a Content-Security-Policy or a Cache-Control of its own; what it does not say is as strict as can
be. No page of the service may be framed.
"""

from __future__ import annotations

RawHeaders = list[tuple[bytes, bytes]]  # names in lower case, as ASGI has them

_FIXED = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_POLICY = b"content-security-policy"


def secure(headers: RawHeaders) -> RawHeaders:
    """An answer's headers with these."""
    own = dict(headers)
    cache_control = () if b"cache-control" in own else ((b"cache-control", b"no-store"),)
    policy = own.get(_POLICY, b"default-src 'none'") + b"; frame-ancestors 'none'"
    return [*(pair for pair in headers if pair[0] != _POLICY), *_FIXED, *cache_control, (_POLICY, policy)]
