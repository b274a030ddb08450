"""The body of a response, which a thread reads from its socket into a part.

With an event loop, an HTTP parser and the copies between them, a fast source took three times as long. The
client still connects, redirects and reads the headers; only the bytes of the file pass it by.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from qwen3_chat.models.hub.blocking_calls import run_to_end
from qwen3_chat.models.hub.part_appender import PartAppender
from qwen3_chat.models.hub.part_file import PartFile
from qwen3_chat.models.hub.retry_policy import RetryPolicy
from qwen3_chat.models.hub.sources import new_blocking_client

if TYPE_CHECKING:
    import httpx2

APPEND_S = 0.25
"""The time after which a buffer is appended, even if it is not full."""
_LENGTH = re.compile(r"\d{1,19}", re.ASCII)


@asynccontextmanager
async def stream_response(
    retry_policy: RetryPolicy, url: str, headers: Mapping[str, str]
) -> AsyncIterator[StreamedResponse]:
    """Ask for a URL and yield its response; the connection ends with the context, even if it is silent.

    Raises:
        httpx2.HTTPError: the request failed.
        httpx2.InvalidURL: a redirect leads to no address.
        HubError: the address of the user's proxy can't be used.
    """
    response = StreamedResponse(retry_policy, url, headers)
    try:
        await response.open()
        yield response
    finally:
        await response.close()


class StreamedResponse:
    """A response whose body a thread reads; the names in `headers` are in lower case."""

    def __init__(self, retry_policy: RetryPolicy, url: str, headers: Mapping[str, str]) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.is_redirected = False
        self._retry_policy = retry_policy
        self._url = url
        self._request_headers = headers
        self._loop = asyncio.get_running_loop()
        self._has_head: asyncio.Future[None] = self._loop.create_future()
        self._parts: SimpleQueue[tuple[PartFile, int] | None] = SimpleQueue()
        self._has_news = asyncio.Event()
        self._lock = threading.Lock()
        self._n_arrived_bytes = 0
        self._reported_s = 0.0
        self._is_all_told = True
        """True once the loop was told after the last bytes, which are in the part by then."""
        self._is_reading = False
        self._is_closed = False
        self._ended = threading.Event()
        self._error: Exception | None = None
        self._socket: socket.socket | None = None

    async def open(self) -> None:
        """Ask for the URL, and wait for the headers."""
        threading.Thread(target=self._run, daemon=True).start()
        await self._has_head

    async def read_into(self, part: PartFile, n_to_skip: int) -> AsyncGenerator[int]:
        """Append the body to a part, without its first bytes; yield the number of bytes since the last time.

        It is 0 where no more arrived, but all before are in the part.

        Raises:
            httpx2.HTTPError: the connection broke, or is silent.
            HubError: the disk is full, or the part can't be written.
        """
        self._is_reading = True
        self._parts.put((part, n_to_skip))
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            has_ended = self._ended.is_set()
            with self._lock:
                n_bytes, self._n_arrived_bytes = self._n_arrived_bytes, 0
            if n_bytes or not has_ended:
                yield n_bytes
            if has_ended:
                break
        if self._error is not None:
            raise self._error

    async def close(self) -> None:
        """End the connection; what has arrived is in the part then."""
        with self._lock:
            self._is_closed = True
            if self._socket is not None:
                _shut_down(self._socket)
        self._parts.put(None)
        self._has_head.cancel()
        if self._is_reading:  # else the thread may wait for a connection, and ends when that is there
            await run_to_end(self._ended.wait)

    def _run(self) -> None:
        try:
            with (
                new_blocking_client(self._retry_policy) as client,
                client.stream(
                    "GET", self._url, headers=self._request_headers, extensions={"trace": self._on_trace}
                ) as response,
            ):
                self._call(self._set_head, response)
                if (wanted := self._parts.get()) is not None:
                    self._append_body(response, *wanted)
        except Exception as error:  # raised where the response is waited for
            self._error = error
        self._ended.set()
        self._call(self._end)

    def _set_head(self, response: httpx2.Response) -> None:
        if not self._has_head.done():
            self.status, self.headers = response.status_code, response.headers
            self.is_redirected = bool(response.history)
            self._has_head.set_result(None)

    def _end(self) -> None:
        self._has_news.set()
        if not self._has_head.done() and self._error is not None:
            self._has_head.set_exception(self._error)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(function, *arguments)

    def _on_trace(self, _event: str, details: dict[str, Any]) -> None:
        """Note the socket of each connection that is made, so that it can be ended while it is silent."""
        get_extra_info = getattr(details.get("return_value"), "get_extra_info", None)
        connection = get_extra_info("socket") if get_extra_info else None
        if isinstance(connection, socket.socket):
            with self._lock:
                self._socket = connection
                if self._is_closed:
                    _shut_down(connection)

    def _append_body(self, response: httpx2.Response, part: PartFile, n_to_skip: int) -> None:
        """Read the body: by the client what it has read with the headers, the rest from the socket."""
        appender = PartAppender(part)
        connection = _body_socket(response)
        left_bytes = int(response.headers["content-length"]) if connection else 0
        try:
            for chunk in response.iter_raw():
                data = memoryview(chunk)[n_to_skip:]
                n_to_skip = max(0, n_to_skip - len(chunk))
                while data and (room := appender.room()):
                    n_bytes = min(len(room), len(data))
                    room[:n_bytes] = data[:n_bytes]
                    self._append(appender, n_bytes)
                    data = data[n_bytes:]
                if connection is not None:
                    self._receive(connection, left_bytes - len(chunk), n_to_skip, appender)
                    break
        finally:
            appender.close()

    def _receive(
        self, connection: socket.socket, left_bytes: int, n_to_skip: int, appender: PartAppender
    ) -> None:
        """Append the bytes of a socket, until the body is complete or none are missing.

        A buffer is appended when it is full, or when its first bytes get old.

        Raises:
            httpx2.HTTPError: the connection broke, or is silent.
        """
        while left_bytes and (room := appender.room()[: n_to_skip or left_bytes]):
            filling = _Filling(connection, room)
            try:
                filling.run(self._timeout_s)
            finally:
                if n_to_skip:
                    n_to_skip -= filling.n_bytes
                else:
                    self._append(appender, filling.n_bytes)
            left_bytes -= filling.n_bytes

    @property
    def _timeout_s(self) -> float:
        """The time to wait for the next bytes: short, where the loop has yet to be told of others."""
        return self._retry_policy.stall_timeout_s if self._is_all_told else APPEND_S

    def _append(self, appender: PartAppender, n_bytes: int) -> None:
        """Append bytes in the room, and tell the loop, but not each time where the source is fast."""
        appender.append(n_bytes)
        with self._lock:
            self._n_arrived_bytes += n_bytes
        now_s = time.monotonic()
        self._is_all_told = not n_bytes
        if self._is_all_told or now_s - self._reported_s >= self._retry_policy.report_interval_s:
            self._reported_s = now_s
            self._call(self._has_news.set)


class _Filling:
    """The filling of the room in a buffer from a socket; `n_bytes` are filled."""

    def __init__(self, connection: socket.socket, room: memoryview) -> None:
        self._connection = connection
        self._room = room
        self.n_bytes = 0

    def run(self, timeout_s: float) -> None:
        """Fill the room, or as much as arrives in time: `timeout_s` is for the first bytes.

        Raises:
            httpx2.HTTPError: the connection broke, or is silent for longer than `APPEND_S`.
        """
        import httpx2

        full_at_s = float("inf")
        self._connection.settimeout(timeout_s)
        try:
            while self.n_bytes < len(self._room) and time.monotonic() < full_at_s:
                if not (n_received := self._connection.recv_into(self._room[self.n_bytes :])):
                    raise httpx2.RemoteProtocolError("the connection ended before the body")
                if not self.n_bytes:
                    full_at_s = time.monotonic() + APPEND_S
                    self._connection.settimeout(APPEND_S)
                self.n_bytes += n_received
        except TimeoutError as error:
            if not self.n_bytes and timeout_s > APPEND_S:
                raise httpx2.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpx2.ReadError(str(error)) from error


def _body_socket(response: httpx2.Response) -> socket.socket | None:
    """Return the socket whose next bytes are those of the body, as many as the headers say; else None."""
    stream = response.extensions.get("network_stream")
    length = response.headers.get("content-length", "")
    if stream is None or "transfer-encoding" in response.headers or not _LENGTH.fullmatch(length):
        return None
    if isinstance(stream.get_extra_info("ssl_object"), ssl.SSLObject):  # TLS to a proxy, and within it
        return None
    connection = stream.get_extra_info("socket")
    return connection if isinstance(connection, socket.socket) else None


def _shut_down(connection: socket.socket) -> None:
    with suppress(OSError, ValueError):  # it has ended
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # at once, without a farewell of TLS
