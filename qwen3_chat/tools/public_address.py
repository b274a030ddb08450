"""The addresses of the public internet, from which a page of a stranger may be fetched; pure."""

from __future__ import annotations

import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NOT_PUBLIC: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            *("192.88.99.0/24", "64:ff9b:1::/48", "2001::/23", "fec0::/10", "::/96", "100::/64"),
            *("5f00::/16", "3fff::/20", "2001:db8::/32", "0.0.0.0/8", "240.0.0.0/4"),
        ),
    )
)
"""Networks that Python's versions judge in different ways: relays, translation, documentation."""


def is_public(address: str) -> bool:
    """Return whether an address in its usual form is on the public internet; not for what is no address.

    An IPv4 address within one of IPv6 counts as itself.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return _is_public(parsed)


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(inner)
    if address.is_multicast or not address.is_global:
        return False
    return not any(address.version == network.version and address in network for network in _NOT_PUBLIC)
