"""The messages of a connection, seen on their way: tools as they came, before the SDK reads them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage
from mcp_types.jsonrpc import JSONRPCRequest, JSONRPCResponse

MAX_RAW_CHARS: Final = 20_000
"""The most of a tool's object that is kept for comparing, in characters."""


class RawTools:
    """The objects of the tools as the server sent them last, by name."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, Any]] = {}
        self._request_ids: set[int | str] = set()

    def get(self, name: str) -> tuple[str, str]:
        """Return the hash of a tool's whole object, and the object as JSON, cut where it is long."""
        text = json.dumps(self._objects.get(name, {"name": name}), sort_keys=True, ensure_ascii=False)
        digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
        return digest, text[:MAX_RAW_CHARS]

    def see_request(self, message: Any) -> None:
        """Remember a request for the tools."""
        if isinstance(message, JSONRPCRequest) and message.method == "tools/list":
            self._request_ids.add(message.id)

    def see_answer(self, message: Any) -> None:
        """Remember the tools of an answer; take out the schemas of results.

        The SDK would check results against those with a library that has no limit of work.
        """
        if not isinstance(message, JSONRPCResponse) or message.id not in self._request_ids:
            return
        self._request_ids.discard(message.id)
        tools = message.result.get("tools")
        for tool in tools if isinstance(tools, list) else []:
            if isinstance(tool, dict):
                self._objects[str(tool.get("name"))] = dict(tool)
                tool.pop("outputSchema", None)


class _SeenReadStream:
    """A stream of incoming messages; each is seen before it is passed on."""

    def __init__(self, inner: Any, raw_tools: RawTools, on_end: Callable[[], None]) -> None:
        self._inner = inner
        self._raw_tools = raw_tools
        self._on_end = on_end

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def receive(self) -> Any:
        try:
            return self._seen(await self._inner.receive())
        except Exception:
            self._on_end()
            raise

    def __aiter__(self) -> _SeenReadStream:
        return self

    async def __anext__(self) -> Any:
        try:
            return self._seen(await self._inner.__anext__())
        except Exception:
            self._on_end()
            raise

    async def __aenter__(self) -> _SeenReadStream:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *failure: Any) -> bool | None:
        result: bool | None = await self._inner.__aexit__(*failure)
        return result

    def _seen(self, item: Any) -> Any:
        if isinstance(item, SessionMessage):
            self._raw_tools.see_answer(item.message)
        return item


class _SeenWriteStream:
    """A stream of outgoing messages; each is seen before it is passed on."""

    def __init__(self, inner: Any, raw_tools: RawTools) -> None:
        self._inner = inner
        self._raw_tools = raw_tools

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def send(self, item: SessionMessage) -> None:
        self._raw_tools.see_request(item.message)
        await self._inner.send(item)

    async def __aenter__(self) -> _SeenWriteStream:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *failure: Any) -> bool | None:
        result: bool | None = await self._inner.__aexit__(*failure)
        return result


@asynccontextmanager
async def tapped(
    transport: AbstractAsyncContextManager[TransportStreams],
    raw_tools: RawTools,
    on_end: Callable[[], None],
) -> AsyncIterator[TransportStreams]:
    """Open a transport whose messages are seen; `on_end` is called when no more will come."""
    async with transport as (read_stream, write_stream):
        yield _SeenReadStream(read_stream, raw_tools, on_end), _SeenWriteStream(write_stream, raw_tools)
