"""Whom processes talk to."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address

import psutil


def peers_of(family: psutil.Process) -> set[str]:
    """Addresses at the other end of all connections of a process and of what it started."""
    peers: set[str] = set()
    for process in [family, *family.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):  # it has ended since
            peers |= {each.raddr.ip for each in process.net_connections(kind="inet") if each.raddr}
    return peers


def is_loopback(address: str) -> bool:
    """Whether only this machine is reached by it, as IPv4 or in IPv6's clothes."""
    return ip_address(address.removeprefix("::ffff:")).is_loopback
