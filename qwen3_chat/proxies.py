"""The proxies that the environment or the system names, in every spelling that is in use."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

TransportT = TypeVar("TransportT")

_SCHEMES = {"http": "http", "https": "https", "socks": "socks5", "socks5": "socks5", "socks5h": "socks5h"}
"""The kinds of proxies; GNOME and Clash write `socks` for SOCKS 5, and SOCKS 4 is not supported."""
_NO_PROXY_HOST = re.compile(
    r"(?:\*?\.)?(?P<host>[\w-]+(?:\.[\w-]+)*|\[[0-9a-f:.]+\])(?P<port>:\d{1,5})?", re.ASCII
)
MAX_EXCEPTIONS = 1000
"""The limit for the entries of NO_PROXY that count."""


class ProxyAddressError(ValueError):
    """An address of a proxy that can't be used; it may hold a password, so only `variable` is told."""

    def __init__(self, variable: str) -> None:
        super().__init__(variable)
        self.variable = variable


def normalise_proxy(address: str, variable: str = "") -> str:
    """Return the address of a proxy as an HTTP client takes it.

    Raises:
        ProxyAddressError: it is none, or that of a kind of proxy that is not supported.
    """
    text = address.strip().strip("\"'")
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    try:
        parts = urlsplit(f"http://{rest}")
        is_usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_usable = False
    if not is_usable or scheme.lower() not in _SCHEMES or re.search(r"[\s\x00-\x1f\x7f]", rest):
        raise ProxyAddressError(variable)
    return f"{_SCHEMES[scheme.lower()]}://{rest}"


def proxy_mounts(
    make_transport: Callable[[str], TransportT], proxies: Mapping[str, str] | None = None
) -> dict[str, TransportT | None]:
    """Return the transports of a client that goes through the user's proxies; None goes without one.

    `proxies` are those of the environment, or of the system on Windows and macOS, unless given.

    Raises:
        ProxyAddressError: the address of a proxy can't be used.
    """
    if proxies is None:
        from urllib.request import getproxies  # here: its import takes a while, which only requests need

        proxies = getproxies()
    exceptions = re.split(r"[,;\s]+", proxies.get("no", "").strip())[:MAX_EXCEPTIONS]
    if "*" in exceptions:
        return {}
    from httpx2 import InvalidURL  # here: whoever asks for transports has it

    mounts: dict[str, TransportT | None] = {}
    for scheme in ("http", "https", "all"):
        if address := proxies.get(scheme, "").strip():
            variable = f"{scheme.upper()}_PROXY"
            try:
                mounts[f"{scheme}://"] = make_transport(normalise_proxy(address, variable))
            except ProxyAddressError:
                raise
            except (ValueError, InvalidURL) as error:  # what the client does not like
                raise ProxyAddressError(variable) from error
    if mounts:
        mounts.update(dict.fromkeys(filter(None, map(_exception_pattern, exceptions)), None))
    return mounts


def _exception_pattern(entry: str) -> str:
    """Return the pattern of an entry of NO_PROXY; empty for one that can't be read, as curl ignores it."""
    entry = re.sub("^[a-z]+://", "", entry.lower()).rstrip("/")
    bare = entry.removeprefix("[").removesuffix("]")
    try:
        network = ipaddress.ip_network(bare, strict=False)
    except ValueError:
        name = _NO_PROXY_HOST.fullmatch(entry)
        if name is None or int((name["port"] or ":1")[1:]) > 65535:
            return ""
        is_address = name["host"].startswith("[") or re.fullmatch(r"[\d.]+", name["host"])
        return f"all://{'' if is_address else '*'}{name['host']}{name['port'] or ''}"
    host = f"[{network.network_address}]" if network.version == 6 else f"{network.network_address}"
    return f"all://{host}" if network.num_addresses == 1 else f"all://{host}/{network.prefixlen}"
