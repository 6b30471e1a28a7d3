"""Requests to addresses that callers gave us: the name is resolved once, and the connection goes to what was checked.

A name that is looked up again for the connection could lead elsewhere by then (DNS rebinding). Redirects are answers
like any other, proxies of the environment are not asked, and the body of the answer is never read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import httpx

from service.public_addresses import is_public


class NotSentError(Exception):
    """No answer came; the message says why in a few words."""


@dataclass(frozen=True)
class Policy:
    """allow_http: without TLS too. allow_private: to addresses that are not public too. timeout_s: for all of it."""

    allow_http: bool
    allow_private: bool
    timeout_s: float


async def post(url: httpx.URL, body: bytes, headers: Mapping[str, str], policy: Policy) -> int:
    """Send a body; returns the answer's status.

    Raises:
        NotSentError: the scheme or an address of the host is not allowed, or no answer came in time.
    """
    if url.scheme != "https" and not (policy.allow_http and url.scheme == "http"):
        raise NotSentError("the scheme is not https")
    try:
        async with asyncio.timeout(policy.timeout_s):
            addresses = await _resolved(url.raw_host.decode(), url.port or {"http": 80, "https": 443}[url.scheme])
            if not policy.allow_private and not all(is_public(ipaddress.ip_address(one)) for one in addresses):
                raise NotSentError("the host has an address that is not public")
            return await _post_to_first(addresses, url, body, headers)
    except TimeoutError:
        raise NotSentError(f"no answer within {policy.timeout_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotSentError(type(error).__name__) from error


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)  # it takes some tens of milliseconds


async def _resolved(host: str, port: int) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotSentError("the host's name has no address") from None
    return list(dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found))


async def _post_to_first(addresses: list[str], url: httpx.URL, body: bytes, headers: Mapping[str, str]) -> int:
    """Try the checked addresses in turn until one can be connected to."""
    context = await asyncio.to_thread(_tls)
    async with httpx.AsyncClient(verify=context, trust_env=False, follow_redirects=False, timeout=None) as client:  # noqa: S113
        for address in addresses:
            request = client.build_request(
                "POST",
                url.copy_with(host=address),
                content=body,
                headers={**headers, "Host": url.netloc.decode()},
                extensions={"sni_hostname": url.raw_host.decode()},  # the certificate must be the name's
            )
            try:
                answer = await client.send(request, stream=True)
            except httpx.ConnectError:
                if address == addresses[-1]:
                    raise
                continue
            await answer.aclose()
            return answer.status_code
    raise NotSentError("the host's name has no address")
