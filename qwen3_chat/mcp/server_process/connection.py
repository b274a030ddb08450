"""The connection to one server, from its start to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx2
from mcp import Client
from mcp.client.subscriptions import SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp.types import (
    ElicitRequestParams,
    ElicitResult,
    ErrorData,
    Implementation,
    ToolListChangedNotification,
)
from mcp.types.jsonrpc import CONNECTION_CLOSED, REQUEST_TIMEOUT
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from qwen3_chat import __version__
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import McpError
from qwen3_chat.mcp.server_messages import CommandLaunch, Connect, ServerTool
from qwen3_chat.mcp.server_process.elicitation import FormGate, FormSink
from qwen3_chat.mcp.server_process.message_tap import RawTools, tapped
from qwen3_chat.mcp.server_process.result_text import result_as_text, result_images
from qwen3_chat.mcp.server_process.server_log import ServerLog
from qwen3_chat.mcp.server_process.stdio_transport import ServerProcess
from qwen3_chat.mcp.server_process.web_transport import connect_by_http
from qwen3_chat.texts.terminal_safe import terminal_safe

MAX_TOOLS: Final = 500
"""The most tools of a server; a list that goes on is cut there."""

MAX_PAGES: Final = 100
MAX_SHOWN_CHARS: Final = 300
CALL_LIMIT_S: Final = 600.0
"""The time that no call may exceed; the interface ends most of them long before."""


class Connection:
    """A connection to a server: `opened` has its tools, or the error that prevented it.

    `on_tools` gets the tools whenever they change, `on_end` the reason when it ends by itself. `on_form`
    has the user asked for what the server wants of them.
    """

    def __init__(
        self,
        command: Connect,
        on_tools: Callable[[tuple[ServerTool, ...]], None],
        on_end: Callable[[McpError], None],
        on_form: FormSink,
    ) -> None:
        self._command = command
        self._name = command.server
        self._on_tools = on_tools
        self._on_end = on_end
        self._forms = FormGate(on_form)
        self._client: Client | None = None
        self._process: ServerProcess | None = None
        self._raw_tools = RawTools()
        self._log = ServerLog(_log_path(command), command.secrets)
        self._is_closing = asyncio.Event()
        self._have_tools_changed = asyncio.Event()
        self.opened: asyncio.Future[tuple[ServerTool, ...]] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run())

    @property
    def title(self) -> str:
        """The name and the version that the server gives itself."""
        info = self._client.server_info if self._client else None
        return terminal_safe(f"{info.name} {info.version}")[:MAX_SHOWN_CHARS] if info else ""

    @property
    def protocol(self) -> str:
        """The version of the protocol that both speak."""
        return self._client.protocol_version if self._client else ""

    async def call(
        self, tool: str, arguments: dict[str, Any], on_progress: Callable[[float, float | None, str], None]
    ) -> tuple[str, bool, tuple[bytes, ...]]:
        """Call a tool; return the result as text, whether it is an error, its images.

        Raises:
            McpError: the server ended or answered with an error.
        """

        async def pass_on(progress: float, total: float | None, message: str | None) -> None:
            on_progress(progress, total, terminal_safe(message or "")[:MAX_SHOWN_CHARS])

        if self._client is None:
            raise self._error_of(ConnectionError())
        try:
            with self._forms:
                result = await self._client.call_tool(tool, arguments, CALL_LIMIT_S, pass_on)
        except Exception as error:
            raise self._error_of(error) from error
        return result_as_text(result), result.is_error, result_images(result.content)

    async def close(self) -> None:
        """End the connection, and the server if it was started."""
        self._is_closing.set()
        if self._client is None:
            self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            try:
                async with asyncio.timeout(self._command.timeout_s) as limit:
                    await self._serve(limit)
            except asyncio.CancelledError:
                error = McpError(ErrorCode.MCP_SERVER_ENDED, name=self._name, status="-")
            except TimeoutError:
                error = McpError(
                    ErrorCode.MCP_START_TIMEOUT, name=self._name, seconds=round(self._command.timeout_s)
                )
            except BaseException as failure:  # the SDK raises groups of them
                error = self._error_of(failure)
            else:
                error = self._error_of(ConnectionError())
        finally:
            self._client = None
        if not self.opened.done():
            self.opened.set_exception(error)
        elif not self._is_closing.is_set():
            self._on_end(error)

    async def _serve(self, limit: asyncio.Timeout) -> None:
        launch = self._command.launch
        if isinstance(launch, CommandLaunch):
            self._process = ServerProcess(self._name, launch, self._log)
            transport = self._process.connect()
        else:
            transport = connect_by_http(launch)
        lost = asyncio.Event()

        async def on_message(message: object) -> None:
            if isinstance(message, ToolListChangedNotification):
                self._have_tools_changed.set()

        async def on_form(context: object, params: ElicitRequestParams) -> ElicitResult | ErrorData:
            return await self._forms.ask(params)

        client = Client(
            tapped(transport, self._raw_tools, lost.set),
            message_handler=on_message,
            elicitation_callback=on_form,
            client_info=Implementation(name="qwen3-chat", version=__version__),
            cache=None,
        )
        async with client:
            tools = await self._list_tools(client)
            self._client = client
            limit.reschedule(None)
            self.opened.set_result(tools)
            tasks = [
                asyncio.create_task(self._is_closing.wait()),
                asyncio.create_task(lost.wait()),
                asyncio.create_task(self._follow_changes(client)),
                asyncio.create_task(self._listen(client)),
            ]
            await asyncio.wait(tasks[:2], return_when=asyncio.FIRST_COMPLETED)
            self._client = None
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _list_tools(self, client: Client) -> tuple[ServerTool, ...]:
        if client.server_capabilities.tools is None:
            return ()
        tools, cursor = list[ServerTool](), None
        for _ in range(MAX_PAGES):
            page = await client.list_tools(cursor=cursor)
            tools += [self._raw_tools.get(tool.name, tool.description or "") for tool in page.tools]
            cursor = page.next_cursor
            if not cursor or len(tools) >= MAX_TOOLS:
                break
        return tuple(tools[:MAX_TOOLS])

    async def _follow_changes(self, client: Client) -> None:
        """List the tools again whenever the server says that they have changed."""
        while True:
            await self._have_tools_changed.wait()
            self._have_tools_changed.clear()
            with suppress(MCPError, ValidationError):
                self._on_tools(await self._list_tools(client))

    async def _listen(self, client: Client) -> None:
        """Subscribe to changes of the tools, which servers since 2026 report to subscribers only."""
        tools = client.server_capabilities.tools
        if client.protocol_version not in MODERN_PROTOCOL_VERSIONS or not (tools and tools.list_changed):
            return
        with suppress(MCPError, SubscriptionLost, TimeoutError):
            async with client.listen(tools_list_changed=True) as changes:
                async for _ in changes:
                    self._have_tools_changed.set()

    def _error_of(self, failure: BaseException) -> McpError:
        """Return the error for whatever went wrong, without secrets."""
        process = self._process
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        match failure:
            case McpError():
                return failure
            case _ if process is not None and process.end_error is not None:
                error = process.end_error
                return McpError(
                    error.code,
                    **{k: self._log.redact(v) if isinstance(v, str) else v for k, v in error.values.items()},
                )
            case MCPError() if failure.code == REQUEST_TIMEOUT:
                return McpError(
                    ErrorCode.MCP_START_TIMEOUT, name=self._name, seconds=round(self._command.timeout_s)
                )
            case MCPError() if failure.code == CONNECTION_CLOSED or not failure.message:
                return McpError(ErrorCode.MCP_SERVER_ENDED, name=self._name, status="?")
            case MCPError():
                return self._refusal(failure.message)
            case ValidationError():
                return self._refusal(f"{failure.error_count()} × {failure.errors()[0]['msg']}")
            case httpx2.HTTPError() | OSError():
                reason = str(failure) or type(failure).__name__
                return McpError(ErrorCode.MCP_UNREACHABLE, name=self._name, reason=self._shown(reason))
            case _:
                return self._refusal(str(failure) or type(failure).__name__)

    def _refusal(self, reason: str) -> McpError:
        return McpError(ErrorCode.MCP_SERVER_REFUSED, name=self._name, reason=self._shown(reason))

    def _shown(self, reason: str) -> str:
        return self._log.redact(terminal_safe(" ".join(reason.split())))[:MAX_SHOWN_CHARS]


def _log_path(command: Connect) -> Path | None:
    match command.launch:
        case CommandLaunch(log_path=path) if path:
            return Path(path)
        case _:
            return None
