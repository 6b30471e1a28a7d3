"""Whom processes talk to."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address

import psutil

# The head of any Ray asks the metadata services of clouds whether it is in one (`UsageStatsHead.run`), also where
# usage is not reported, and no setting of Ray 2.60 stops it; their address does not leave this machine's own link.
_RAY_DASHBOARD, _METADATA = "/ray/dashboard/dashboard.py", "169.254.169.254"


def peers_of(family: psutil.Process) -> set[tuple[str, str]]:
    """Addresses at the other ends of the connections of a process and of what it started, with the command of each."""
    peers: set[tuple[str, str]] = set()
    for process in [family, *family.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):  # it has ended since
            addresses = {each.raddr.ip for each in process.net_connections(kind="inet") if each.raddr}
            peers |= {(address, " ".join(process.cmdline())) for address in addresses}
    return peers


def strangers_among(peers: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those that are not this machine, but for what Ray asks."""
    return {
        (address, command)
        for address, command in peers
        if not ip_address(address.removeprefix("::ffff:")).is_loopback
        and not (address == _METADATA and _RAY_DASHBOARD in command)
    }
