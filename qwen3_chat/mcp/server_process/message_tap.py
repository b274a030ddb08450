"""The messages of a connection, seen on their way: tools as they came, before the SDK reads them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage
from mcp.types.jsonrpc import JSONRPCRequest, JSONRPCResponse

from qwen3_chat.mcp.server_messages import ServerTool

_READ_BY_SDK: Final = {"name", "description", "inputSchema"}

MAX_RAW_CHARS: Final = 20_000
"""The most of a tool's object that is kept for comparing, in characters."""


class RawTools:
    """The objects of the tools as the server sent them last, by name."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, Any]] = {}
        self._request_ids: set[int | str] = set()

    def get(self, name: str, description: str) -> ServerTool:
        """Return a tool with its schema as it came; one that is no object can't be used by anybody."""
        raw = self._objects.get(name, {})
        text = json.dumps(raw, sort_keys=True, ensure_ascii=False)
        raw_hash = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
        schema = raw.get("inputSchema")
        if not isinstance(schema, dict):
            schema = {"type": "null"}
        return ServerTool(name, description, schema, raw_hash, text[:MAX_RAW_CHARS])

    def see_request(self, message: Any) -> None:
        """Remember a request for the tools."""
        if isinstance(message, JSONRPCRequest) and message.method == "tools/list":
            self._request_ids.add(message.id)

    def see_answer(self, message: Any) -> None:
        """Remember the tools of an answer; take out what the SDK should not read.

        It would check results by schemas with a library that has no limit of work, and one tool that is
        wrong would cost all of them.
        """
        if not isinstance(message, JSONRPCResponse) or message.id not in self._request_ids:
            return
        self._request_ids.discard(message.id)
        tools = message.result.get("tools")
        if not isinstance(tools, list):
            return
        message.result["tools"] = [
            tool for tool in tools if isinstance(tool, dict) and isinstance(tool.get("name"), str)
        ]
        for tool in message.result["tools"]:
            self._objects[tool["name"]] = dict(tool)
            schema = tool.get("inputSchema")
            if not isinstance(schema, dict) or schema.get("type") != "object":
                tool["inputSchema"] = {"type": "object"}
            for name in tool.keys() - _READ_BY_SDK:
                del tool[name]
            if not isinstance(tool.get("description", ""), str):
                del tool["description"]


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
