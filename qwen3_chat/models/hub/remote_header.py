"""The header of a GGUF file at a source, read by a few HTTP ranges."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import HubError
from qwen3_chat.models.gguf import GgufHeader, read_header
from qwen3_chat.models.hub.blocking_calls import run_detached
from qwen3_chat.models.hub.download_errors import SourceFailedError, SourceRefusedError
from qwen3_chat.models.hub.http_responses import check_status
from qwen3_chat.models.hub.hub_file import HubFile
from qwen3_chat.models.hub.retry_policy import RetryPolicy
from qwen3_chat.models.hub.source_rounds import RoundFailedError, ask_in_rounds
from qwen3_chat.models.hub.sources import Hub, network_error, new_blocking_client

if TYPE_CHECKING:
    import httpx2

MAX_REQUESTS = 16
"""The limit of requests for a header; one with Qwen3's vocabulary has 6 MB and takes six."""

MAX_HEADER_BYTES = 64 << 20
"""The limit for the bytes of a header, ten times that of the largest vocabulary."""

_CONTENT_RANGE_START = re.compile(r"bytes\s+(\d{1,19})-", re.IGNORECASE | re.ASCII)


async def fetch_header(file: HubFile, hubs: Sequence[Hub], retry_policy: RetryPolicy) -> GgufHeader:
    """Read a header from the first source that delivers it.

    Raises:
        HubError: none does.
        ModelError: it is not the header of a model.
    """

    async def ask(hubs: Sequence[Hub]) -> GgufHeader:
        failures: dict[Hub, HubError] = {}
        for hub in hubs:
            try:
                return await run_detached(partial(_fetch_header_from, file, hub, retry_policy))
            except (SourceFailedError, SourceRefusedError) as error:
                failures[hub] = error
        raise RoundFailedError(failures)

    return await ask_in_rounds(ask, hubs, file.name, retry_policy)


def _fetch_header_from(file: HubFile, hub: Hub, retry_policy: RetryPolicy) -> GgufHeader:
    import httpx2  # here: a third of a second that only the network needs

    try:
        with new_blocking_client(retry_policy) as client:
            return read_header(io.BufferedReader(_RemoteFile(client, file, hub), 1), file.name)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise network_error(hub.host, error) from error


class _RemoteFile(io.RawIOBase):
    """A file at a source; each read is a request for exactly these bytes."""

    def __init__(self, client: httpx2.Client, file: HubFile, hub: Hub) -> None:
        self._client = client
        self._file = file
        self._hub = hub
        self._at = 0
        self._requests = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset if whence == io.SEEK_SET else self._at + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:  # anything with a buffer, which 3.11 has no type for
        view = memoryview(buffer)
        data = self._range(self._at, min(self._at + len(view), self._file.size_bytes))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _range(self, begin: int, end: int) -> bytes:
        if begin >= end:
            return b""
        self._requests += 1
        if self._requests > MAX_REQUESTS or end > MAX_HEADER_BYTES:
            raise SourceRefusedError(ErrorCode.REMOTE_HEADER_UNREADABLE, name=self._file.name)
        headers = {
            **self._hub.headers(),
            "Range": f"bytes={begin}-{end - 1}",
            "Accept-Encoding": "identity",
        }
        received = bytearray()
        with self._client.stream("GET", self._hub.file_url(self._file), headers=headers) as response:
            check_status(
                response.status_code,
                response.headers,
                self._hub.host,
                self._file.repository,
                self._file.name,
                is_redirected=bool(response.history),
            )
            match = _CONTENT_RANGE_START.match(response.headers.get("content-range", ""))
            first = int(match[1]) if match else 0  # a source that ignores ranges sends all from the beginning
            if first > begin:
                raise SourceFailedError(ErrorCode.SOURCE_SENT_WRONG_RANGE, host=self._hub.host)
            for data in response.iter_raw():
                received += data
                if first + len(received) >= end:
                    break
        if first + len(received) < end:
            raise SourceFailedError(ErrorCode.SOURCE_DISCONNECTED, host=self._hub.host)
        return bytes(received[begin - first : end - first])
