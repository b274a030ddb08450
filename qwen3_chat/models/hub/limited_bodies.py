"""Limits for the bodies of listings, as hooks of an HTTP client; imported with the client, which is slow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx2

MAX_LISTING_BYTES = 16 << 20
"""The limit for a listing: some 50,000 files."""
UNPACKED = {"Accept-Encoding": "identity"}
"""The header that asks for a body as it is: a limit can't count what a packed one unpacks to."""


class BodyLimitError(ValueError):
    """A body that is larger than any listing, or packed though that was not asked for."""


class _LimitedStream(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        n_bytes = 0
        for data in self._stream:
            n_bytes += len(data)
            if n_bytes > MAX_LISTING_BYTES:
                raise BodyLimitError(MAX_LISTING_BYTES)
            yield data

    def close(self) -> None:
        self._stream.close()


class _AsyncLimitedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        n_bytes = 0
        async for data in self._stream:
            n_bytes += len(data)
            if n_bytes > MAX_LISTING_BYTES:
                raise BodyLimitError(MAX_LISTING_BYTES)
            yield data

    async def aclose(self) -> None:
        await self._stream.aclose()


def ask_unpacked(request: httpx2.Request) -> None:
    """Ask for a body as it is."""
    request.headers.update(UNPACKED)


def limit_body(response: httpx2.Response) -> None:
    """Limit the body of a response.

    Raises:
        BodyLimitError: it is packed.
    """
    _require_unpacked(response)
    if isinstance(response.stream, httpx2.SyncByteStream):
        response.stream = _LimitedStream(response.stream)


async def limit_body_async(response: httpx2.Response) -> None:
    """Limit the body of a response to an asynchronous client.

    Raises:
        BodyLimitError: it is packed.
    """
    _require_unpacked(response)
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _AsyncLimitedStream(response.stream)


def _require_unpacked(response: httpx2.Response) -> None:
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise BodyLimitError(encoding)
