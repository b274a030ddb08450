"""The transport to a server that runs somewhere: HTTP with the user's headers and proxies, with limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
from mcp.client._transport import TransportStreams
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from qwen3_chat.mcp.server_messages import HttpLaunch
from qwen3_chat.proxies import proxy_mounts
from qwen3_chat.servers import is_loopback

MAX_BODY_BYTES: Final = 16 << 20
"""The longest answer that is no stream of events, and the longest event, in bytes."""

CONNECT_LIMIT_S: Final = 10.0
READ_LIMIT_S: Final = 300.0


class AnswerTooLarge(httpx2.TransportError):
    """An answer that is too large, or packed."""


class AddressRefused(httpx2.TransportError):
    """An address that a server may not have us ask."""


class _LimitedStream(httpx2.AsyncByteStream):
    """The bytes of an answer, up to the limit."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._n_bytes = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._inner:
            self._n_bytes += len(data)
            if self._n_bytes > MAX_BODY_BYTES:
                raise AnswerTooLarge(f"more than {MAX_BODY_BYTES >> 20} MiB")
            yield data

    async def aclose(self) -> None:
        await self._inner.aclose()


class _LimitedTransport(httpx2.AsyncBaseTransport):
    """A transport whose answers are limited; events have a limit of their own."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, home: str) -> None:
        self._inner = inner
        self._home = home

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if not may_connect(self._home, str(request.url)):
            raise AddressRefused(
                f"{request.url.host} is asked with https, and from this machine only by itself"
            )
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            await response.aclose()
            raise AnswerTooLarge("the answer is packed, which was not asked for")
        if "text/event-stream" not in response.headers.get("content-type", ""):
            response.stream = _LimitedStream(response.stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def may_connect(home: str, url: str) -> bool:
    """Return whether a server at `home` may have us ask an address, as it does where the user signs in."""
    here, there = urlsplit(home), urlsplit(url)
    host = there.hostname or ""
    if host == here.hostname:
        return there.scheme in (here.scheme, "https")
    if is_loopback(host):
        return is_loopback(here.hostname or "")
    try:
        return there.scheme == "https" and ip_address(host).is_global
    except ValueError:  # a name
        return there.scheme == "https"


def _make_client(
    url: str, headers: dict[str, str] | None = None, timeout: Any = None, auth: Any = None
) -> httpx2.AsyncClient:
    mounts = {}
    if not is_loopback(urlsplit(url).hostname or ""):  # no proxy leads back to this machine
        mounts = {
            pattern: transport and _LimitedTransport(transport, url)
            for pattern, transport in proxy_mounts(
                lambda address: httpx2.AsyncHTTPTransport(proxy=address)
            ).items()
        }
    return httpx2.AsyncClient(
        headers={"User-Agent": "qwen3-chat", **(headers or {}), "Accept-Encoding": "identity"},
        timeout=timeout or httpx2.Timeout(CONNECT_LIMIT_S, read=READ_LIMIT_S),
        auth=auth,
        transport=_LimitedTransport(httpx2.AsyncHTTPTransport(), url),
        mounts=mounts,
        trust_env=False,
    )


@asynccontextmanager
async def connect_by_http(
    launch: HttpLaunch, auth: httpx2.Auth | None = None
) -> AsyncIterator[TransportStreams]:
    """Open the transport to a server, signing in by `auth` where it wants that.

    Redirects are followed within its own scheme, host and port only.
    """
    if launch.is_sse:

        def make_client(headers: Any = None, timeout: Any = None, auth: Any = None) -> httpx2.AsyncClient:
            return _make_client(launch.url, {**launch.headers, **(headers or {})}, timeout, auth)

        async with sse_client(launch.url, httpx_client_factory=make_client, auth=auth) as streams:
            yield streams
        return
    async with (
        _make_client(launch.url, launch.headers, auth=auth) as client,
        streamable_http_client(launch.url, http_client=client, max_sse_event_size=MAX_BODY_BYTES) as streams,
    ):
        yield streams
