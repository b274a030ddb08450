"""Several connections to one source, where they are measured to be faster than one.

Each fetches the next range that nobody has; what arrives is handed on in order, so that a part file stays a
beginning of its file, whatever ends the download.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.models.hub.download_errors import SourceFailedError
from qwen3_chat.models.hub.http_responses import RangeRequest, body_offset_bytes
from qwen3_chat.models.hub.hub_file import HubFile
from qwen3_chat.models.hub.retry_policy import RetryPolicy
from qwen3_chat.models.hub.sources import Hub, network_error

if TYPE_CHECKING:
    import httpx2

MIN_RANGE_BYTES, MAX_RANGE_BYTES = 1 << 20, 16 << 20
MAX_WAITING_BYTES = 64 << 20
"""The limit for the bytes in memory that wait for those before them."""
RANGE_S = 2.0
"""The time that one connection should take for a range: long beside a request, short beside a report."""
_EXPIRED_STATUSES = (400, 401, 403, 404, 410)


class RangesIgnoredError(Exception):
    """A source that sends a file from its beginning, whatever range is asked for."""


class ConnectionCount:
    """The number of connections to a source, found by trial: doubled as long as that is faster.

    One that is no faster than half as many is given up for good, so a source that limits the whole client, or
    a line that is full, is left with one connection.
    """

    def __init__(self, retry_policy: RetryPolicy) -> None:
        self._retry_policy = retry_policy
        self.n = 1
        self._best_n, self._best_bytes_per_s = 1, 0.0
        self._is_settled = retry_policy.max_connections == 1
        self._begun_s: float | None = None
        self._is_warm = False
        self._n_bytes = 0

    def feed(self, n_bytes: int, left_bytes: int, now_s: float) -> bool:
        """Note bytes that arrived; return True where the number of connections changes now.

        The beginning of each trial does not count: connections start slowly.
        """
        if self._is_settled:
            return False
        if self._begun_s is None:
            self._begun_s = now_s
            return False
        self._n_bytes += n_bytes
        elapsed_s = now_s - self._begun_s
        if not self._is_warm:
            if elapsed_s >= self._retry_policy.connection_trial_s / 2:
                self._begin(now_s, is_warm=True)
            return False
        if elapsed_s < self._retry_policy.connection_trial_s or not self._n_bytes:
            return False
        bytes_per_s = self._n_bytes / max(elapsed_s, 1e-9)
        self._begin(now_s, is_warm=self.n == 1)
        return self._conclude(bytes_per_s, left_bytes)

    def _conclude(self, bytes_per_s: float, left_bytes: int) -> bool:
        policy, before_n = self._retry_policy, self.n
        if self.n > 1 and bytes_per_s < policy.min_connection_gain * self._best_bytes_per_s:
            self._is_settled = True
            self.n = self._best_n
        else:
            self._best_n, self._best_bytes_per_s = self.n, bytes_per_s
            if left_bytes >= policy.min_trial_left_s * bytes_per_s:
                self.n = min(2 * self.n, policy.max_connections)
            self._is_settled = self.n == self._best_n > 1
        if self.n != before_n:
            self._begin(None, is_warm=False)
        return self.n != before_n

    def _begin(self, now_s: float | None, *, is_warm: bool) -> None:
        self._begun_s, self._is_warm, self._n_bytes = now_s, is_warm, 0

    def settle(self, n: int) -> None:
        """Use so many connections from now on, as a source has failed with more."""
        self.n, self._is_settled = max(1, n), True

    @property
    def range_bytes(self) -> int:
        """The size of a range: that of `RANGE_S` of a connection, as far as memory allows."""
        per_connection = self._best_bytes_per_s / self._best_n
        limit = min(MAX_RANGE_BYTES, MAX_WAITING_BYTES // (self.n + 1))
        return max(MIN_RANGE_BYTES, min(limit, int(RANGE_S * per_connection)))


@dataclass(slots=True)
class _Range:
    """A range of the file that one connection fetches; None ends its chunks, an error too."""

    begin_bytes: int
    end_bytes: int
    chunks: asyncio.Queue[bytes | Exception | None] = field(default_factory=asyncio.Queue)


class RangedDownload:
    """The bytes of a file from an offset on, in order, over several connections to one source."""

    def __init__(
        self, client: httpx2.AsyncClient, hub: Hub, file: HubFile, n_connections: int, range_bytes: int
    ) -> None:
        self._client = client
        self._hub = hub
        self._file = file
        self._range_bytes = range_bytes
        self._n_connections = n_connections
        self._free_connections = asyncio.Semaphore(n_connections)
        self._link: httpx2.URL | None = None
        """The address to which the source redirected; it is asked itself, not the source for each range."""

    async def chunks(self, begin_bytes: int) -> AsyncGenerator[bytes]:
        """Yield the bytes from an offset on, in order; connections end when the iterator is closed.

        Raises:
            SourceFailedError: another attempt may help.
            SourceRefusedError: it won't.
            RangesIgnoredError: the source sends no ranges.
        """
        ranges: deque[tuple[_Range, asyncio.Task[None]]] = deque()
        next_bytes = begin_bytes
        try:
            while ranges or next_bytes < self._file.size_bytes:
                while len(ranges) <= self._n_connections and next_bytes < self._file.size_bytes:
                    end_bytes = min(next_bytes + self._range_bytes, self._file.size_bytes)
                    wanted = _Range(next_bytes, end_bytes)
                    ranges.append((wanted, asyncio.create_task(self._fetch(wanted))))
                    next_bytes = end_bytes
                while (chunk := await ranges[0][0].chunks.get()) is not None:
                    if isinstance(chunk, Exception):
                        raise chunk
                    yield chunk
                ranges.popleft()
        finally:
            for _, task in ranges:
                task.cancel()
            await asyncio.gather(*(task for _, task in ranges), return_exceptions=True)

    async def _fetch(self, wanted: _Range) -> None:
        """Fetch a range; whatever goes wrong is raised where its bytes are waited for."""
        import httpx2

        try:
            async with self._free_connections:
                while not await self._ask(wanted):
                    self._link = None  # it has expired, the source has a fresh one
            wanted.chunks.put_nowait(None)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            wanted.chunks.put_nowait(network_error(self._hub.host, error))
        except Exception as error:
            wanted.chunks.put_nowait(error)

    async def _ask(self, wanted: _Range) -> bool:
        """Ask for a range; return False where the link of an earlier answer is refused."""
        link = self._link
        headers = {
            **({} if link else self._hub.headers()),  # the token is for the source alone
            "Accept-Encoding": "identity",
            "Range": f"bytes={wanted.begin_bytes}-{wanted.end_bytes - 1}",
        }
        url = link or self._hub.file_url(self._file)
        async with self._client.stream("GET", url, headers=headers) as response:
            if link and response.status_code in _EXPIRED_STATUSES:
                return False
            is_redirected = bool(response.history)
            request = RangeRequest(
                self._hub.host,
                self._file.repository,
                self._file.name,
                wanted.begin_bytes,
                self._file.size_bytes,
                is_redirected or link is not None,
            )
            if body_offset_bytes(response.status_code, response.headers, request) != wanted.begin_bytes:
                raise RangesIgnoredError
            if is_redirected:
                self._link = response.url
            left_bytes = wanted.end_bytes - wanted.begin_bytes
            async for data in response.aiter_raw():
                chunk = data[:left_bytes]
                left_bytes -= len(chunk)
                wanted.chunks.put_nowait(chunk)
        if left_bytes:
            raise SourceFailedError(ErrorCode.SOURCE_DISCONNECTED, host=self._hub.host)
        return True
