"""Requests to one server: time limits for each phase, and second attempts where nothing was received."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import httpx2

from qwen3_chat.engine.remote.access import Access
from qwen3_chat.engine.remote.failures import refusal, unreachable
from qwen3_chat.engine.remote.gathering import Gathering
from qwen3_chat.errors import EngineError
from qwen3_chat.events import Notice
from qwen3_chat.servers import Endpoint

# A client library of 0.1 s at start, not the `openai` SDK of 1.1 s: pyproject.toml has the measurement.

REFUSAL_BYTES = 64 * 1024
ANSWER_BYTES = 32 * 1024 * 1024
BUSY = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait in each phase; a long prompt on a slow machine takes minutes to its first byte.

    Once a reply has text, what follows is gathered for as long as a screen shows one picture.
    """

    connect_s: float = 10
    first_byte_s: float = 900
    between_s: float = 180
    gather_s: float = 0.05
    figures_s: float = 2
    question_s: float = 15
    attempts: int = 3
    pause_s: float = 1
    longest_pause_s: float = 60


class Progress(Protocol):
    """How far a reply is."""

    @property
    def has_text(self) -> bool:
        """Whether anything of the reply itself has arrived."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether the model has said all; figures may still follow."""
        ...


class Transport:
    """A pool of connections to one server; made when first needed, it costs 0.1 s."""

    def __init__(self, endpoint: Endpoint, access: Access, patience: Patience) -> None:
        self.endpoint = endpoint
        self.access = access
        self.patience = patience
        self._client: httpx2.AsyncClient | None = None

    async def ask(self, method: str, url: str, body: Mapping[str, object] | None = None) -> Answer:
        """Ask for one JSON text; any status is an answer, and what is no JSON counts as None.

        Raises:
            EngineError: the server can't be reached.
        """
        wait_s = self.patience.question_s
        try:
            async with asyncio.timeout(wait_s), self._opened(method, url, body) as response:
                data = await _start_of(response, ANSWER_BYTES)
                return Answer(response.status_code, dict(response.headers), _json(data), data)
        except TimeoutError as error:
            raise self._slow(wait_s) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise unreachable(error, self.endpoint, self.access, self.patience.connect_s) from error

    async def stream(
        self, url: str, body: Mapping[str, object], progress: Progress
    ) -> AsyncGenerator[bytes | Notice, None]:
        """Walk over the bytes of a reply; its `progress` is what was made of them so far.

        Raises:
            EngineError: the server can't be reached, refuses, breaks off or falls silent.
        """
        for attempt in range(1, self.patience.attempts + 1):
            is_last = attempt == self.patience.attempts
            try:
                async with aclosing(self._attempt(url, body, progress, is_last)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except _TryAgain as again:
                yield Notice("remote.waiting", {"host": self.endpoint.host, "seconds": round(again.pause_s)})
                await asyncio.sleep(again.pause_s)

    async def close(self) -> None:
        """Close every connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _attempt(
        self, url: str, body: Mapping[str, object], progress: Progress, is_last: bool
    ) -> AsyncGenerator[bytes, None]:
        received = False
        patience = self.patience
        try:
            async with AsyncExitStack() as opened:
                async with asyncio.timeout(patience.first_byte_s):  # many servers send no header before it
                    response = await opened.enter_async_context(self._opened("POST", url, body))
                if response.status_code != 200:
                    await self._refuse(response, is_last)
                pieces, gathering = response.aiter_bytes(), Gathering(patience.gather_s)
                while True:
                    wait_s = patience.between_s if received else patience.first_byte_s
                    async with asyncio.timeout(patience.figures_s if progress.is_finished else wait_s):
                        piece = await gathering.next(pieces)
                    if piece is None:
                        return
                    received = True
                    yield piece
                    if progress.has_text and not progress.is_finished:
                        await gathering.rest()
        except TimeoutError as error:
            if not progress.is_finished:
                raise self._silence(received) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            if progress.is_finished:
                return
            if not received and not is_last and isinstance(error, httpx2.TransportError):
                raise _TryAgain(patience.pause_s) from error
            raise unreachable(error, self.endpoint, self.access, self.patience.connect_s) from error

    @asynccontextmanager
    async def _opened(
        self, method: str, url: str, body: Mapping[str, object] | None
    ) -> AsyncGenerator[httpx2.Response, None]:
        """Send a request; leaving early closes the connection, by which a server knows to stop."""
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        async with self._http().stream(method, url, content=content, headers=headers) as response:
            yield response

    async def _refuse(self, response: httpx2.Response, is_last: bool) -> None:
        async with asyncio.timeout(self.patience.question_s):
            body = await _start_of(response, REFUSAL_BYTES)
        pause_s = _pause(response.headers.get("retry-after"), self.patience.pause_s)
        if response.status_code in BUSY and not is_last and pause_s <= self.patience.longest_pause_s:
            raise _TryAgain(pause_s)
        location = response.headers.get("location", "")
        raise refusal(response.status_code, body, location, self.endpoint, self.access)

    def _http(self) -> httpx2.AsyncClient:
        if self._client is None:
            try:
                self._client = httpx2.AsyncClient(
                    headers=self.access.sent_headers,
                    timeout=httpx2.Timeout(None, connect=self.patience.connect_s),
                    verify=self.access.tls_context() if self.endpoint.is_encrypted else False,
                    proxy=self.access.proxy_address,
                    trust_env=not self.endpoint.is_loopback,  # no proxy leads back to this machine
                )
            except (ValueError, httpx2.InvalidURL) as error:
                raise EngineError("remote.bad_proxy", host=self.endpoint.host) from error
        return self._client

    def _silence(self, received: bool) -> EngineError:
        if received:
            return EngineError(
                "remote.stalled", host=self.endpoint.host, seconds=round(self.patience.between_s)
            )
        return self._slow(self.patience.first_byte_s)

    def _slow(self, seconds: float) -> EngineError:
        return EngineError("remote.slow", host=self.endpoint.host, seconds=round(seconds))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said to one question."""

    status: int
    headers: Mapping[str, str]
    value: object
    body: bytes

    @property
    def fields(self) -> dict[str, object]:
        """The JSON object; empty where the answer is none or a refusal."""
        return self.value if self.status == 200 and isinstance(self.value, dict) else {}


class _TryAgain(Exception):
    """Nothing was received, and another attempt may do."""

    def __init__(self, pause_s: float) -> None:
        super().__init__(pause_s)
        self.pause_s = pause_s


async def _start_of(response: httpx2.Response, most_bytes: int) -> bytes:
    data = bytearray()
    async for piece in response.aiter_bytes():
        data += piece
        if len(data) >= most_bytes:
            break
    return bytes(data[:most_bytes])


def _json(data: bytes) -> object:
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value


def _pause(retry_after: str | None, default_s: float) -> float:
    """Read Retry-After in seconds; a date, which no such server sends, counts as not said."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return default_s
    return max(default_s, seconds) if seconds == seconds else default_s
