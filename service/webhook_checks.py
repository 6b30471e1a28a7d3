"""What is known to be wrong with a webhook before anything is sent: refused when its job is submitted.

Where the name leads to is looked at when a message is sent (`service.outbound`): it may lead elsewhere by then.
"""

from __future__ import annotations

import ipaddress

import httpx

from service.problems import BadValueError, NotAvailableError
from service.public_addresses import is_public
from service.settings import Settings
from service.webhook_secrets import secret_of

_PATH = "webhook.url"
_LAST_PORT = 65_535


def check_webhook(url: str, project: str, settings: Settings) -> None:
    """Refuse what cannot be sent.

    Raises:
        NotAvailableError: there is no secret to sign with.
        BadValueError: the address has a form, a scheme or a host that is not allowed.
    """
    if secret_of(project, settings.webhook_secret) is None:
        raise NotAvailableError(
            f"The project {project!r} has no secret to sign webhooks. CTRFAST_WEBHOOK_SECRET on the server sets it.",
            path="webhook",
        )
    target = parsed_url(url)
    if target is None:
        raise BadValueError(
            "`webhook.url` must read https://HOST[:PORT]/PATH, without a user or a fragment.", path=_PATH
        )
    if target.scheme == "http" and not settings.webhook_allow_http:
        raise BadValueError(
            "`webhook.url` must begin with https:. CTRFAST_WEBHOOK_ALLOW_HTTP on the server allows others.", path=_PATH
        )
    try:
        address = ipaddress.ip_address(target.host)
    except ValueError:
        return
    if not settings.webhook_allow_private and not is_public(address):
        raise BadValueError(
            "`webhook.url` must not name an address that is not public. CTRFAST_WEBHOOK_ALLOW_PRIVATE on the server "
            "allows it.",
            path=_PATH,
        )


def parsed_url(url: str) -> httpx.URL | None:
    """A URL of http or https with a host, and without a user or a fragment; else None."""
    try:
        target = httpx.URL(url)
    except httpx.InvalidURL:
        return None
    has_form = target.scheme in ("http", "https") and target.host and not target.userinfo and "#" not in url
    return target if has_form and (target.port or 0) <= _LAST_PORT else None
