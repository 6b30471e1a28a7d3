"""Which addresses we send to where callers name them: public ones, so that nobody reaches our own network by us."""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# What some versions of Python call global, and is not: IANA's special-purpose registries, and one cloud's own address.
_SPECIAL = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata
        "192.88.99.0/24",  # 6to4 relays
        "168.63.129.16/32",  # Azure's metadata and agents
        "2001::/23",  # protocol assignments, Teredo, which carries an address of IPv4
        "2002::/16",  # 6to4, which carries one too
        "3fff::/20",  # documentation
    )
)


def is_public(address: Address) -> bool:
    """Neither private, loopback, link-local (clouds' metadata), shared, reserved nor multicast.

    An IPv6 address that carries one of IPv4 (mapped, NAT64) is public where that is; 6to4 and Teredo never are.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _UNICAST:
            return False
    return address.is_global and not address.is_multicast and not any(address in network for network in _SPECIAL)
