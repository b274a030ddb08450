"""The connection to one server, from its start to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx2
from mcp import Client
from mcp.client.auth.exceptions import OAuthFlowError
from mcp.client.subscriptions import SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ToolsListChanged
from mcp.types import (
    ElicitRequestParams,
    ElicitResult,
    ErrorData,
    Implementation,
    PromptListChangedNotification,
    ResourceListChangedNotification,
    ToolListChangedNotification,
)
from mcp.types.jsonrpc import CONNECTION_CLOSED, REQUEST_TIMEOUT
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from qwen3_chat import __version__
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import McpError
from qwen3_chat.mcp.forms import FormAnswer
from qwen3_chat.mcp.server_messages import CommandLaunch, Connect, ServerPrompt, ServerResource, ServerTool
from qwen3_chat.mcp.server_process.elicitation import FormGate, FormSink, required_addresses
from qwen3_chat.mcp.server_process.message_tap import RawTools, tapped
from qwen3_chat.mcp.server_process.result_text import result_as_text, result_images
from qwen3_chat.mcp.server_process.server_log import ServerLog
from qwen3_chat.mcp.server_process.sign_in import SignInFlow
from qwen3_chat.mcp.server_process.stdio_transport import ServerProcess
from qwen3_chat.mcp.server_process.text_lists import (
    MAX_PAGES,
    list_prompts,
    list_resources,
    prompt_text,
    resource_text,
)
from qwen3_chat.mcp.server_process.web_transport import connect_by_http
from qwen3_chat.texts.terminal_safe import terminal_safe

MAX_TOOLS: Final = 500
"""The most tools of a server; a list that goes on is cut there."""

MAX_SHOWN_CHARS: Final = 300
AnswerT = TypeVar("AnswerT")

CALL_LIMIT_S: Final = 600.0
"""The time that no call may exceed; the interface ends most of them long before."""


class Connection:
    """A connection to a server: `opened` has its tools, or the error that prevented it.

    `on_tools` gets the tools whenever they change, `on_texts` the prompts and the resources, `on_end` the
    reason when it ends by itself. `on_form` has the user asked for what the server wants of them, and
    `on_sign_in` has them visit an address.
    """

    def __init__(
        self,
        command: Connect,
        on_tools: Callable[[tuple[ServerTool, ...]], None],
        on_texts: Callable[[tuple[ServerPrompt, ...], tuple[ServerResource, ...]], None],
        on_end: Callable[[McpError], None],
        on_form: FormSink,
        on_sign_in: Callable[[str], Awaitable[FormAnswer]],
    ) -> None:
        self._command = command
        self._name = command.server
        self._on_tools = on_tools
        self._on_texts = on_texts
        self._on_end = on_end
        self._forms = FormGate(on_form)
        self._on_sign_in = on_sign_in
        self._flow: SignInFlow | None = None
        self._client: Client | None = None
        self._process: ServerProcess | None = None
        self._raw_tools = RawTools()
        self._log = ServerLog(_log_path(command), command.secrets, command.result_secrets)
        self._is_closing = asyncio.Event()
        self._have_tools_changed, self._have_texts_changed = asyncio.Event(), asyncio.Event()
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
            on_progress(
                progress, total, self._log.redact_result(terminal_safe(message or ""))[:MAX_SHOWN_CHARS]
            )

        result = await self._answer(lambda client: client.call_tool(tool, arguments, CALL_LIMIT_S, pass_on))
        text = self._log.redact_result(result_as_text(result))
        return text, result.is_error, result_images(result.content)

    async def get_prompt(self, prompt: str, arguments: dict[str, str]) -> str:
        """Return the text of a prompt.

        Raises:
            McpError: the server ended or answered with an error.
        """
        result = await self._answer(lambda client: client.get_prompt(prompt, arguments))
        return self._log.redact_result(prompt_text(result))

    async def read_resource(self, uri: str) -> str:
        """Return the text of a resource.

        Raises:
            McpError: the server ended or answered with an error, or the resource is no text.
        """
        text = resource_text(await self._answer(lambda client: client.read_resource(uri)))
        if text is None:
            raise McpError(ErrorCode.MCP_RESOURCE_NOT_TEXT, name=self._name, uri=self._shown(uri))
        return self._log.redact_result(text)

    async def _answer(self, request: Callable[[Client], Awaitable[AnswerT]]) -> AnswerT:
        """Return the answer to a request, during which the server may ask the user for something."""
        if self._client is None:
            raise self._error_of(ConnectionError())
        try:
            with self._forms:
                return await self._send(request, self._client)
        except Exception as error:
            raise self._error_of(error) from error

    async def _send(self, request: Callable[[Client], Awaitable[AnswerT]], client: Client) -> AnswerT:
        """Send a request, and again once the user has visited the addresses that it needs.

        They agree at most as often as forms are shown during a request.

        Raises:
            MCPError: the server answered with an error, or the user did not agree.
        """
        while True:
            try:
                return await request(client)
            except MCPError as error:
                addresses = required_addresses(error)
                if not addresses:
                    raise
                for address in addresses:
                    answer = await self._forms.ask(address)
                    if not isinstance(answer, ElicitResult) or answer.action != "accept":
                        raise

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
            if self._flow is not None:
                self._flow.close()
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
            if launch.sign_in is not None:
                self._flow = SignInFlow(
                    self._name,
                    launch,
                    launch.sign_in,
                    self._on_sign_in,
                    _clock_of(limit),
                    self._log.add_secret,
                )
            transport = connect_by_http(launch, self._flow.provider if self._flow else None)
        lost = asyncio.Event()

        async def on_message(message: object) -> None:
            match message:
                case ToolListChangedNotification():
                    self._have_tools_changed.set()
                case PromptListChangedNotification() | ResourceListChangedNotification():
                    self._have_texts_changed.set()

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
                asyncio.create_task(self._follow_texts(client)),
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

    async def _follow_texts(self, client: Client) -> None:
        """List the prompts and the resources, and again whenever the server says that they have changed."""
        while True:
            prompts = await list_prompts(client, self._name)
            self._on_texts(prompts, await list_resources(client, self._name))
            await self._have_texts_changed.wait()
            self._have_texts_changed.clear()

    async def _listen(self, client: Client) -> None:
        """Subscribe to changes of the lists, which servers since 2026 report to subscribers only."""
        has = client.server_capabilities
        tools, prompts, resources = (
            bool(part and part.list_changed) for part in (has.tools, has.prompts, has.resources)
        )
        is_modern = client.protocol_version in MODERN_PROTOCOL_VERSIONS
        if not is_modern or not (tools or prompts or resources):
            return
        with suppress(MCPError, SubscriptionLost, TimeoutError):
            async with client.listen(
                tools_list_changed=tools, prompts_list_changed=prompts, resources_list_changed=resources
            ) as changes:
                async for change in changes:
                    is_of_tools = isinstance(change, ToolsListChanged)
                    (self._have_tools_changed if is_of_tools else self._have_texts_changed).set()

    def _error_of(self, failure: BaseException) -> McpError:
        """Return the error for whatever went wrong, without secrets."""
        process = self._process
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        match failure:
            case McpError():
                return failure
            case _ if self._flow is not None and self._flow.error is not None:
                error, self._flow.error = self._flow.error, None
                return error
            case OAuthFlowError():
                reason = self._shown(str(failure))
                return McpError(ErrorCode.MCP_SIGN_IN_FAILED, name=self._name, reason=reason)
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


def _clock_of(limit: asyncio.Timeout) -> Callable[[bool], None]:
    """Return a function that stops the clock of a limit while the user is waited for."""
    loop, left_s = asyncio.get_running_loop(), 0.0

    def hold(is_waiting: bool) -> None:
        nonlocal left_s
        if is_waiting:
            left_s = 0.0 if (end_s := limit.when()) is None else max(end_s - loop.time(), 1.0)
            limit.reschedule(None)
        elif left_s and not limit.expired():
            limit.reschedule(loop.time() + left_s)

    return hold


def _log_path(command: Connect) -> Path | None:
    match command.launch:
        case CommandLaunch(log_path=path) if path:
            return Path(path)
        case _:
            return None
