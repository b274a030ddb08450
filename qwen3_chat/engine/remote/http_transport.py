"""The HTTP connections to one server: time limits for each phase, retries, and batched reads.

Only requests are retried whose response has brought no text. Waking up for each token is most of the cost
of a token, so the pieces of a stream are read in batches.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import httpx2

from qwen3_chat.engine.remote.body_unpacking import REQUEST_ENCODING, BodyUnpacker, UnpackingError
from qwen3_chat.engine.remote.http_errors import (
    connection_error,
    displayable_message,
    error_from_response,
    retry_notice,
)
from qwen3_chat.engine.remote.server_access import ServerAccess
from qwen3_chat.engine.remote.untrusted_json import JsonError, parse_json
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.events import Notice
from qwen3_chat.proxies import proxy_mounts
from qwen3_chat.servers import Endpoint

# The client library takes 0.1 s to import, the `openai` SDK 1.1 s: pyproject.toml has the measurement.

MAX_ERROR_BODY_BYTES = 64 * 1024
MAX_RESPONSE_BYTES = 4 * 1024**2
"""The limit for any response but a reply: a list of models, or the ids of half a million tokens."""
HTTP_PORT = 80
SLICE_BYTES = 4096
"""The bytes of a reply that are taken at once."""
MAX_HANDSHAKE_S = 3.0
"""The longest that a server may take to show that it wants https, where it hangs up on plain text."""

MAX_CHARACTERS_PER_S = 40_000
"""The characters of a reply that are taken in within a second: some 10,000 tokens."""
MAX_CREDIT_S = 0.25
"""The time for which text may come faster, after a pause."""
MAX_BURST_S = 0.01
"""The time after which a flood of bytes lets other tasks run: a key passes a dozen of them."""
RETRIED_STATUSES = frozenset({429, 502, 503, 504})
RETRIED_FAILURES = frozenset(
    {
        ErrorCode.SERVER_NOT_LISTENING,
        ErrorCode.SERVER_UNREACHABLE,
        ErrorCode.SERVER_TIMEOUT,
        ErrorCode.SERVER_DISCONNECTED,
    }
)
"""Failures of a connection after which another attempt may succeed: the server may be starting again."""


class CharacterThrottle:
    """A limit for how fast the text of a reply is taken in: faster than any model, slower than the screen.

    What a server sends beyond it waits in the connection.
    """

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._earliest_s = self._clock() - MAX_CREDIT_S
        self._characters = 0

    async def keep(self, characters: int) -> None:
        """Wait if so many characters in all came too quickly."""
        new, self._characters = characters - self._characters, characters
        now_s = self._clock()
        self._earliest_s = max(self._earliest_s, now_s - MAX_CREDIT_S) + new / MAX_CHARACTERS_PER_S
        if self._earliest_s > now_s:
            await asyncio.sleep(self._earliest_s - now_s)


class BatchedReader:
    """A reader of the pieces of a stream, with pauses in which several of them arrive.

    Pieces that arrived in a pause are read without another pause, so that pauses never delay a fast stream.
    """

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._n_waits = 0  # since the last pause: one for the pieces during it, one for those after it

    async def next(self, pieces: AsyncIterator[bytes]) -> bytes | None:
        """Return the next piece, or None at the end."""
        waits: list[bool] = []
        # the callback runs only if the piece has not arrived yet
        callback = asyncio.get_running_loop().call_soon(waits.append, True)
        piece = await anext(pieces, None)
        callback.cancel()
        self._n_waits += len(waits)
        return piece

    async def pause(self) -> None:
        """Pause, unless a piece may have arrived already."""
        if self._n_waits > 1:
            self._n_waits = 0
            await asyncio.sleep(self._pause_s)


@dataclass(frozen=True, slots=True)
class TimeoutPolicy:
    """Seconds to wait in each phase; a long prompt on a slow machine takes minutes to the first text.

    Bytes that bring a reply no further don't extend `first_byte_s`, nor `usage_s` after its end. Once a reply
    has text, its pieces are batched for `batch_s`, as long as a screen shows one frame.
    """

    connect_s: float = 10
    first_byte_s: float = 900
    between_pieces_s: float = 180
    batch_s: float = 0.05
    usage_s: float = 2
    query_s: float = 15
    max_attempts: int = 3
    retry_delay_s: float = 1
    max_retry_delay_s: float = 60


class ReplyProgress(Protocol):
    """The progress of a reply."""

    @property
    def has_text(self) -> bool:
        """True once any text of the reply has arrived."""
        ...

    @property
    def is_finished(self) -> bool:
        """True once the model has finished; figures may still follow."""
        ...

    @property
    def n_characters(self) -> int:
        """The characters of the reply that came so far."""
        ...

    @property
    def n_steps(self) -> int:
        """The number of steps so far: pieces of text, of calls, of the prompt's evaluation."""
        ...

    @property
    def is_cut_off(self) -> bool:
        """True where a stream that ends now breaks off before any text of the reply."""
        ...

    def restart(self) -> None:
        """Forget all that came, because the reply is requested again."""
        ...


PieceSink = Callable[[bytes], bool]
"""A function that takes each piece of a reply at once; it returns False if it wants no more."""


class HttpTransport:
    """A pool of connections to one server, created when first needed, which takes 0.1 s."""

    def __init__(self, endpoint: Endpoint, access: ServerAccess, timeouts: TimeoutPolicy) -> None:
        self.endpoint = endpoint
        self.access = access
        self.timeouts = timeouts
        self._client: httpx2.AsyncClient | None = None

    async def request_listing(self, url: str, on_retry: Callable[[Notice], None]) -> JsonResponse:
        """Request a listing, again where the server is too busy for it or drops the connection.

        Raises:
            EngineError: the server can't be reached, or sends too much.
        """
        for attempt in range(1, self.timeouts.max_attempts + 1):
            is_last = attempt == self.timeouts.max_attempts
            try:
                response = await self.request_json("GET", url)
            except EngineError as error:
                if is_last or error.code is not ErrorCode.SERVER_DISCONNECTED:
                    raise
                if attempt == 1 and not self.endpoint.is_encrypted and await self._speaks_tls():
                    raise EngineError(ErrorCode.SERVER_NEEDS_HTTPS, host=self.endpoint.host) from error
                await self._wait_to_retry(_Retry(self.timeouts.retry_delay_s, error), on_retry)
                continue
            retry = self._retry(response.status, response.headers, response.body)
            if is_last or retry is None:
                return response
            await self._wait_to_retry(retry, on_retry)
        raise AssertionError("the last attempt returns or raises")

    async def request_json(
        self, method: str, url: str, body: Mapping[str, object] | None = None
    ) -> JsonResponse:
        """Request one JSON text; any status is a valid answer, and invalid JSON counts as None.

        Raises:
            EngineError: the server can't be reached, or sends too much.
        """
        wait_s = self.timeouts.query_s
        try:
            async with asyncio.timeout(wait_s), self._open_response(method, url, body) as response:
                data = await _read_up_to(response, MAX_RESPONSE_BYTES + 1)
                if len(data) > MAX_RESPONSE_BYTES:
                    raise self.too_large_error(MAX_RESPONSE_BYTES)
                return JsonResponse(response.status_code, dict(response.headers), _parse_json(data), data)
        except TimeoutError as error:
            raise self._timeout_error(wait_s) from error
        except UnpackingError as error:
            raise self._unpacking_error(error) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise connection_error(error, self.endpoint, self.access, self.timeouts.connect_s) from error

    async def stream(
        self,
        url: str,
        body: Mapping[str, object],
        progress: ReplyProgress,
        on_piece: PieceSink,
        on_retry: Callable[[Notice], None],
    ) -> None:
        """Request a reply and push its bytes, with notices of retries; `progress` follows what they form.

        Raises:
            EngineError: the server can't be reached, refuses, breaks off or stops sending.
        """
        for attempt in range(1, self.timeouts.max_attempts + 1):
            is_last = attempt == self.timeouts.max_attempts
            try:
                await self._attempt(url, body, progress, on_piece, is_last)
                return
            except _Retry as retry:
                progress.restart()
                await self._wait_to_retry(retry, on_retry)

    async def close(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _speaks_tls(self) -> bool:
        """Return whether a handshake succeeds with a server that hangs up on plain text without a word."""
        address = urlsplit(self.endpoint.root)
        try:
            async with asyncio.timeout(MAX_HANDSHAKE_S):
                _, writer = await asyncio.open_connection(
                    address.hostname, address.port or HTTP_PORT, ssl=_unverified_tls()
                )
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    async def _wait_to_retry(self, retry: _Retry, on_retry: Callable[[Notice], None]) -> None:
        on_retry(retry_notice(retry.error, retry.delay_s))
        await asyncio.sleep(retry.delay_s)

    async def _attempt(
        self,
        url: str,
        body: Mapping[str, object],
        progress: ReplyProgress,
        on_piece: PieceSink,
        is_last: bool,
    ) -> None:
        timeouts, clock = self.timeouts, asyncio.get_running_loop().time
        try:
            async with AsyncExitStack() as opened:
                async with asyncio.timeout(timeouts.first_byte_s):  # many servers send no header before it
                    response = await opened.enter_async_context(self._open_response("POST", url, body))
                if response.status_code != 200:
                    await self._raise_for_response(response, is_last)
                pieces, reader = _unpacked_pieces(response), BatchedReader(timeouts.batch_s)
                throttle = CharacterThrottle()
                n_steps, deadline_s = progress.n_steps, clock() + timeouts.first_byte_s
                while True:
                    # a chunk without text is no beginning: some servers send one, then read the prompt
                    wait_s = timeouts.between_pieces_s if progress.has_text else timeouts.first_byte_s
                    async with asyncio.timeout_at(min(deadline_s, clock() + wait_s)):
                        piece = await reader.next(pieces)
                    if piece is None:
                        if progress.is_cut_off and not is_last:
                            raise _Retry(timeouts.retry_delay_s, self._disconnected_error())
                        return
                    was_finished = progress.is_finished
                    if not await _push_in_slices(piece, on_piece, throttle, progress):
                        return
                    if progress.is_finished:
                        if not was_finished:
                            deadline_s = clock() + timeouts.usage_s
                    elif progress.n_steps > n_steps:
                        n_steps, deadline_s = progress.n_steps, clock() + timeouts.first_byte_s
                    if clock() >= deadline_s:  # a piece that is there already is read without a wait
                        raise TimeoutError
                    if progress.has_text and not progress.is_finished:
                        await reader.pause()
        except TimeoutError as error:
            if not progress.is_finished:
                raise self._stalled_error(progress.has_text) from error
        except UnpackingError as error:
            if not progress.is_finished:
                raise self._unpacking_error(error) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            if progress.is_finished:
                return
            failure = connection_error(error, self.endpoint, self.access, timeouts.connect_s)
            if not progress.has_text and not is_last and failure.code in RETRIED_FAILURES:
                raise _Retry(timeouts.retry_delay_s, failure) from error
            raise failure from error

    @asynccontextmanager
    async def _open_response(
        self, method: str, url: str, body: Mapping[str, object] | None
    ) -> AsyncGenerator[httpx2.Response, None]:
        """Send a request; leaving the context early closes the connection, which tells the server to stop."""
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        async with self._http_client().stream(method, url, content=content, headers=headers) as response:
            yield response

    async def _raise_for_response(self, response: httpx2.Response, is_last: bool) -> None:
        body = b""
        with suppress(TimeoutError, UnpackingError):  # the status says enough
            async with asyncio.timeout(self.timeouts.query_s):
                body = await _read_up_to(response, MAX_ERROR_BODY_BYTES)
        retry = self._retry(response.status_code, response.headers, body)
        if retry is not None and not is_last:
            raise retry
        location = response.headers.get("location", "")
        raise error_from_response(response.status_code, body, location, self.endpoint, self.access)

    def _retry(self, status: int, headers: Mapping[str, str], body: bytes) -> _Retry | None:
        """Return the retry after a refusal; None if another attempt makes no sense, or not so soon."""
        if status not in RETRIED_STATUSES:
            return None
        delay_s = _retry_delay(headers.get("retry-after"), self.timeouts.retry_delay_s)
        if delay_s > self.timeouts.max_retry_delay_s:
            return None
        return _Retry(delay_s, error_from_response(status, body, "", self.endpoint, self.access))

    def _http_client(self) -> httpx2.AsyncClient:
        if self._client is None:
            try:
                tls = self.access.tls_context() if self.endpoint.is_encrypted else False
                proxies: dict[str, str] | None = None
                if (named := self.access.proxy_address) is not None:
                    proxies = {"all": named}
                elif self.endpoint.is_loopback:  # no proxy leads back to this machine
                    proxies = {}
                self._client = httpx2.AsyncClient(
                    headers={**self.access.request_headers, "Accept-Encoding": REQUEST_ENCODING},
                    timeout=httpx2.Timeout(None, connect=self.timeouts.connect_s),
                    verify=tls,
                    mounts=proxy_mounts(
                        lambda address: httpx2.AsyncHTTPTransport(proxy=address, verify=tls), proxies
                    ),
                    trust_env=False,
                )
            except (ValueError, httpx2.InvalidURL) as error:
                raise EngineError(ErrorCode.PROXY_INVALID, host=self.endpoint.host) from error
        return self._client

    def too_large_error(self, limit: int) -> EngineError:
        """Return the error for a server that sends more than a limit."""
        return EngineError(ErrorCode.SERVER_SENT_TOO_MUCH, host=self.endpoint.host, limit=limit)

    def _unpacking_error(self, error: UnpackingError) -> EngineError:
        reason = displayable_message(str(error), self.access)
        return EngineError(ErrorCode.SERVER_BODY_UNREADABLE, host=self.endpoint.host, reason=reason)

    def _disconnected_error(self) -> EngineError:
        return EngineError(ErrorCode.SERVER_DISCONNECTED, host=self.endpoint.host)

    def _stalled_error(self, has_begun: bool) -> EngineError:
        if has_begun:
            return EngineError(
                ErrorCode.SERVER_STALLED,
                host=self.endpoint.host,
                seconds=round(self.timeouts.between_pieces_s),
            )
        return self._timeout_error(self.timeouts.first_byte_s)

    def _timeout_error(self, seconds: float) -> EngineError:
        return EngineError(ErrorCode.SERVER_TIMEOUT, host=self.endpoint.host, seconds=round(seconds))


def _unverified_tls() -> ssl.SSLContext:
    """Return a context for finding out whether TLS is spoken; nothing is sent through it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True, slots=True)
class JsonResponse:
    """The response of a server to one request."""

    status: int
    headers: Mapping[str, str]
    value: object
    body: bytes

    @property
    def fields(self) -> dict[str, object]:
        """The JSON object; empty if the response is another value or a refusal."""
        return self.value if self.status == 200 and isinstance(self.value, dict) else {}


class _Retry(Exception):
    """A failure before any text was received, after which another attempt may succeed."""

    def __init__(self, delay_s: float, error: EngineError) -> None:
        super().__init__(delay_s)
        self.delay_s = delay_s
        self.error = error


async def _unpacked_pieces(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """Yield the body unpacked, in pieces of limited size.

    Raises:
        UnpackingError: it is packed in an unknown way, or damaged.
    """
    unpacker = BodyUnpacker(response.headers.get("content-encoding", ""))
    async for packed in response.aiter_raw():
        for piece in unpacker.feed(packed):
            yield piece


async def _push_in_slices(
    piece: bytes, on_piece: PieceSink, throttle: CharacterThrottle, progress: ReplyProgress
) -> bool:
    """Push a piece in slices between which other tasks can run; return False if the sink wants no more."""
    clock = asyncio.get_running_loop().time
    began_s = clock()
    for at in range(0, len(piece), SLICE_BYTES):
        if not on_piece(piece[at : at + SLICE_BYTES]):
            return False
        await throttle.keep(progress.n_characters)
        if clock() - began_s > MAX_BURST_S:
            await asyncio.sleep(0)
            began_s = clock()
    return True


async def _read_up_to(response: httpx2.Response, max_bytes: int) -> bytes:
    data = bytearray()
    async for piece in _unpacked_pieces(response):
        data += piece
        if len(data) >= max_bytes:
            break
    return bytes(data[:max_bytes])


def _parse_json(data: bytes) -> object:
    try:
        return parse_json(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, JsonError):
        return None


def _retry_delay(retry_after: str | None, default_s: float) -> float:
    """Parse Retry-After in seconds; a date, which none of these servers send, counts as missing."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return default_s
    return max(default_s, seconds) if seconds == seconds else default_s  # NaN is unequal to itself
