"""Where the service is, and the key that it is asked with: given, or from CTRFAST_URL and CTRFAST_API_KEY."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import httpx

from ctrfast._version import VERSION
from ctrfast.errors import ConfigError

URL_VARIABLE = "CTRFAST_URL"
KEY_VARIABLE = "CTRFAST_API_KEY"
LOCAL_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Address:
    """headers: sent with each request; they hold the key, so they are never shown."""

    url: str
    headers: dict[str, str] = field(repr=False)


def find_address(url: str | None, key: str | None) -> Address:
    """The address to ask; what is not given comes from the environment, and without a URL it is this machine's.

    Raises:
        ConfigError: the URL is none of HTTP, or the key cannot be sent.
    """
    url = url if url is not None else os.environ.get(URL_VARIABLE) or LOCAL_URL
    key = key if key is not None else os.environ.get(KEY_VARIABLE)
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"The URL cannot be read: {error}. It reads as in {LOCAL_URL}.", path="url") from error
    if parsed.userinfo:
        raise ConfigError(f"The URL must not hold a password. Set {KEY_VARIABLE} to an API key.", path="url")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(f"The URL must begin with http:// or https:// and name a host. Got {url!r}.", path="url")
    headers = {"User-Agent": f"ctrfast/{VERSION}"}
    if key:
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise ConfigError("The API key holds a character that no key has. Copy it again.", path="key")
        headers["Authorization"] = f"Bearer {key}"
    return Address(url, headers)
