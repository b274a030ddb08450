"""The tools of MCP servers: servers are asked about, started and compared, their tools offered and called."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final

from qwen3_chat.chat import ToolCall
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import McpError, Qwen3ChatError, StoreError
from qwen3_chat.events import Notice
from qwen3_chat.mcp.form_requests import FormRequests
from qwen3_chat.mcp.forms import FormRequested
from qwen3_chat.mcp.launch import prepare_server, shown_launch
from qwen3_chat.mcp.mcp_process import McpProcess
from qwen3_chat.mcp.result_images import keep_images
from qwen3_chat.mcp.server_config import McpServer, McpServers
from qwen3_chat.mcp.server_messages import (
    CallTool,
    Connect,
    Connected,
    Disconnect,
    FormWithdrawn,
    GetPrompt,
    News,
    ReadResource,
    ServerEnded,
    ServerPrompt,
    ServerResource,
    ServerTool,
    TextReturned,
    TextsListed,
    ToolReturned,
    ToolsChanged,
)
from qwen3_chat.mcp.server_status import McpState, McpStatus, McpTrust
from qwen3_chat.mcp.tool_findings import (
    has_hidden_text,
    mistakable_names,
    visible_schema,
    visible_text,
    without_hidden_text,
)
from qwen3_chat.mcp.tool_pins import changed_tools, describe_changes
from qwen3_chat.texts.terminal_safe import label_of_name
from qwen3_chat.tools.arguments import SchemaError
from qwen3_chat.tools.built_in_tools import BUILT_IN_TOOLS
from qwen3_chat.tools.call_context import CallContext, current_call
from qwen3_chat.tools.consent import ConsentAnswer, ConsentKind, ConsentRequest
from qwen3_chat.tools.permissions import PermissionScope, possible_permissions
from qwen3_chat.tools.tool import Arguments, Caution, Tool, ToolError, schema_tokens
from qwen3_chat.tools.tool_source import SOURCE_PREFIX, SourceEventSink, ToolServerStarting

MAX_SENSIBLE_TOOLS: Final = 8
"""The number of tools above which models choose badly, so that the user is told."""

MAX_LISTED: Final = 8
"""The most tools that a sentence names."""

RETRY_S: Final = 60.0
"""The time after which a server that failed twice is tried again, in seconds."""

WARM_UP_PAUSE_S: Final = 1.0
"""The time from the loaded model to the start of the process that talks to servers, in seconds."""

LISTING_LIMIT_S: Final = 10.0
"""The longest wait for the prompts and resources of servers, in seconds."""

_DECLINED: Final = "[The server asked the user for something, which was declined: nobody can be asked here.]"
_MAX_MODEL_NAME_CHARS: Final = 64  # what servers of OpenAI's kind take
_NOT_IN_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")


class McpTools:
    """The tools of all MCP servers; a server is started when one of its tools is first offered.

    `load` returns the servers, read again each time, so that one that was added in another terminal counts.
    `chat_folder` returns the folder of a chat's files, for the images of results; without `tokens_folder`,
    nobody signs in to servers.
    """

    def __init__(
        self,
        load: Callable[[], McpServers],
        process_log: Path | None,
        log_folder: Path | None,
        environ: Mapping[str, str],
        trust: McpTrust,
        clock: Callable[[], float] = monotonic,
        chat_folder: Callable[[int], Path] | None = None,
        tokens_folder: Path | None = None,
    ) -> None:
        self._load = load
        self._tokens_folder = tokens_folder
        self._log_folder = log_folder
        self._environ = environ
        self._clock = clock
        self._chat_folder = chat_folder
        self._process = McpProcess(process_log, self._on_news)
        self._status: dict[str, McpStatus] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._asking = asyncio.Lock()
        self._forms = FormRequests(self._process.answer_form, self._hold_calls, self._asking)
        self._running: dict[str, list[CallContext]] = {}
        """The calls of each server that run."""
        self._has_warned = False
        self._warming: asyncio.Task[None] | None = None
        self._has_news = asyncio.Event()
        self.set_trust(trust)

    def set_trust(self, trust: McpTrust) -> None:
        """Decide by another trust from now on, such as one that has somebody to ask."""
        self._trust = trust
        self._forms.fill = trust.fill

    @property
    def process_id(self) -> int | None:
        """The id of the process that talks to the servers; None while there is none."""
        return self._process.pid

    def status(self, server: str) -> McpStatus:
        """Return what is known of a server."""
        return self._status.setdefault(server, McpStatus())

    async def warm_up(self, names: Sequence[str]) -> None:
        """Start the process that talks to servers soon, which takes half a second; no server is started."""
        if names and not self._status and self._warming is None:
            self._warming = asyncio.create_task(self._warm_up())

    async def _warm_up(self) -> None:
        await asyncio.sleep(WARM_UP_PAUSE_S)
        with suppress(McpError):  # the first call says what is wrong
            await self._process.start()

    async def prepare(self, names: Sequence[str], report: SourceEventSink) -> None:
        """Start the servers of these names that do not run yet, and report those that can't be used."""
        wanted = list(dict.fromkeys(split_name(name)[0] for name in names))
        try:
            servers = await asyncio.to_thread(self._load)
        except Qwen3ChatError as error:
            report(_notice_of(error))
            return
        await asyncio.gather(*(self._prepare(name, servers, report) for name in wanted))
        for name in names:
            server, tool = split_name(name)
            known = [definition.name for definition in self.status(server).definitions]
            if tool and known and tool not in known:
                unknown = McpError(ErrorCode.MCP_TOOL_UNKNOWN, name=server, tool=tool, names=_listed(known))
                report(_notice_of(unknown))
        self._warn_of_many(names, report)

    def tools_named(self, name: str) -> Sequence[Tool]:
        """Return the tools of a server that is ready, or the one of that name."""
        server, tool = split_name(name)
        status = self._status.get(server)
        if status is None:
            return ()
        return [offered for offered in status.tools if not tool or offered.name == name]

    async def connect(self, server: McpServer, report: SourceEventSink) -> McpStatus:
        """Connect to a server, asking first where the user has not allowed it.

        Raises:
            Qwen3ChatError: it can't be used, or is not allowed.
        """
        status = self.status(server.name)
        await self._connect(server, status, report)
        for notice in status.notices:
            report(notice)
        return status

    async def reconnect(self, server: McpServer, report: SourceEventSink) -> None:
        """Connect to a server anew, also to one that runs, that has failed or that the user refused.

        Raises:
            Qwen3ChatError: it can't be used, or is not allowed.
        """
        async with self._locks.setdefault(server.name, asyncio.Lock()):
            status = self.status(server.name)
            status.state, status.n_failures = McpState.NOT_STARTED, 0
            status = await self.connect(server, report)
            status.notices.clear()

    async def forget(self, name: str) -> None:
        """End a server, and forget what is known of it."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            if self.status(name).state is McpState.READY:
                with suppress(McpError):  # it has ended by itself
                    await self._process.request(lambda call_id: Disconnect(call_id, name))
            self._status.pop(name, None)

    def prompts(self) -> Sequence[ServerPrompt]:
        """Return the prompts of all servers that run."""
        return [prompt for listed in self._listed_texts() for prompt in listed.prompts]

    def resources(self) -> Sequence[ServerResource]:
        """Return the resources of all servers that run."""
        return [resource for listed in self._listed_texts() for resource in listed.resources]

    async def texts_listed(self) -> None:
        """Wait until the servers that run have listed their prompts and resources, for a few seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LISTING_LIMIT_S):
                while any(s.state is McpState.READY and s.texts is None for s in self._status.values()):
                    self._has_news.clear()
                    await self._has_news.wait()

    async def prompt_text(self, prompt: ServerPrompt, arguments: Mapping[str, str]) -> str:
        """Return the text of a prompt with these arguments.

        Raises:
            Qwen3ChatError: the server can't be reached, or answers with an error.
        """
        return await self._text(
            prompt.server, lambda call_id: GetPrompt(call_id, prompt.server, prompt.name, dict(arguments))
        )

    async def resource_text(self, resource: ServerResource) -> str:
        """Return the text of a resource.

        Raises:
            Qwen3ChatError: the server can't be reached, or answers with an error.
        """
        return await self._text(
            resource.server, lambda call_id: ReadResource(call_id, resource.server, resource.uri)
        )

    def _listed_texts(self) -> list[TextsListed]:
        return [s.texts for s in self._status.values() if s.texts and s.state is McpState.READY]

    async def _text(self, server: str, make_command: Callable[[int], GetPrompt | ReadResource]) -> str:
        await self._revive(server)
        returned = await self._process.request(make_command)
        assert isinstance(returned, TextReturned)
        return without_hidden_text(returned.text)

    async def close(self) -> None:
        """End all servers."""
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.wait([self._warming])
        await self._process.close()

    # starting

    async def _prepare(self, name: str, servers: McpServers, report: SourceEventSink) -> None:
        async with self._locks.setdefault(name, asyncio.Lock()):
            status = self.status(name)
            if status.state is McpState.REFUSED:
                return
            if status.state is McpState.READY and not status.has_changed:
                return
            if status.n_failures >= 2 and self._clock() - status.failed_s < RETRY_S:
                return
            try:
                server = servers.get(name)
                if status.state is McpState.READY:
                    await self._offer(server, status, report)
                else:
                    await self._connect(server, status, report)
            except Qwen3ChatError as error:
                report(_notice_of(error))
            for notice in status.notices:
                report(notice)
            status.notices.clear()

    async def _connect(self, server: McpServer, status: McpStatus, report: SourceEventSink) -> None:
        """Start a server and compare its tools.

        Raises:
            Qwen3ChatError: it can't be used, or is not allowed.
        """
        status.tools, status.definitions, status.error, status.texts = (), (), None, None
        if server.is_disabled:
            status.state = McpState.DISABLED
            raise McpError(ErrorCode.MCP_SERVER_DISABLED, name=server.name)
        try:
            shown = await asyncio.to_thread(shown_launch, server, self._environ)
            await self._allow_launch(server, shown, status, report)
            prepared = await asyncio.to_thread(
                prepare_server, server, self._environ, self._log_folder, self._tokens_folder
            )
            status.state = McpState.STARTING
            report(ToolServerStarting(server.name))
            connected = await self._process.request(
                lambda call_id: Connect(
                    call_id,
                    server.name,
                    prepared.launch,
                    server.timeout_s,
                    prepared.secrets,
                    prepared.result_secrets,
                )
            )
        except Qwen3ChatError as error:
            status.error, status.failed_s = error, self._clock()
            if status.state is not McpState.REFUSED:
                status.state = McpState.FAILED
                status.n_failures += 1
            raise
        except BaseException:
            status.state = McpState.NOT_STARTED
            raise
        assert isinstance(connected, Connected)
        status.title, status.protocol = connected.title, connected.protocol
        status.definitions, status.n_failures = connected.tools, 0
        status.state = McpState.READY
        await self._offer(server, status, report)

    async def _allow_launch(
        self, server: McpServer, shown: str, status: McpStatus, report: SourceEventSink
    ) -> None:
        """Return if a server may start; ask the user where nothing says so.

        Raises:
            McpError: it may not.
        """
        trust, name = self._trust, f"{SOURCE_PREFIX}{server.name}"
        tool = launch_tool(name, server.written_hash)
        call = ToolCall(name, shown)
        if status.launched == tool.definition_hash + shown:
            return
        try:
            standing = await asyncio.to_thread(trust.permissions.read)
        except StoreError as error:
            report(_notice_of(error))
            standing = ()
        if any(permission.covers(tool, call, None) for permission in standing):
            return
        is_named = trust.allows_all or any(split_name(n)[0] == server.name for n in trust.allowed_names)
        if is_named:
            logged = await asyncio.to_thread(shown_launch, server, self._environ, is_for_log=True)
            report(Notice("mcp.starts", {"name": server.name, "launch": label_of_name(logged)}))
        elif trust.ask is None:
            raise McpError(ErrorCode.MCP_NOT_ALLOWED, name=server.name)
        else:
            permissions = tuple(
                permission
                for permission in possible_permissions(tool, call, None)
                if permission.scope is PermissionScope.ARGUMENTS
            )
            answer = await self._ask(ConsentRequest(tool, call, permissions, kind=ConsentKind.SERVER))
            if not answer.is_allowed:
                status.state = McpState.REFUSED
                raise McpError(ErrorCode.MCP_REFUSED_BY_USER, name=server.name)
            if answer.permission is not None:
                try:
                    await asyncio.to_thread(trust.permissions.add, answer.permission)
                except StoreError as error:
                    report(_notice_of(error))
        status.launched = tool.definition_hash + shown

    async def _ask(self, request: ConsentRequest) -> ConsentAnswer:
        assert self._trust.ask is not None
        async with self._asking:
            return await self._trust.ask(request)

    # comparing

    async def _offer(self, server: McpServer, status: McpStatus, report: SourceEventSink) -> None:
        """Offer the tools of a server, those that have changed only if the user says so."""
        status.has_changed = False
        pins, definitions = self._trust.pins, status.definitions
        pinned = await asyncio.to_thread(pins.get, server.name, server.written_hash)
        changed = () if pinned is None else changed_tools(pinned, definitions)
        is_allowed = not changed
        if pinned is not None and changed and self._trust.ask is not None:
            name = f"{SOURCE_PREFIX}{server.name}"
            tool = launch_tool(name, server.written_hash)
            call = ToolCall(name, describe_changes(pinned, changed))
            answer = await self._ask(ConsentRequest(tool, call, kind=ConsentKind.CHANGE))
            is_allowed = answer.is_allowed
        if not is_allowed:
            left_out = {tool.name for tool in changed}
            names = _listed(sorted(left_out))
            report(_notice_of(McpError(ErrorCode.MCP_TOOLS_CHANGED, name=server.name, tools=names)))
            definitions = tuple(tool for tool in definitions if tool.name not in left_out)
        elif pinned is None or changed or len(pinned) != len(definitions):
            try:
                await asyncio.to_thread(pins.set, server.name, server.written_hash, definitions)
            except McpError as error:
                report(_notice_of(error))
        status.tools = await asyncio.to_thread(self._make_tools, server, definitions, status.notices)
        if is_allowed and (pinned is None or changed):
            news = changed if pinned is not None else definitions
            status.notices += await asyncio.to_thread(self._findings, server.name, news)

    def _make_tools(
        self, server: McpServer, definitions: Sequence[ServerTool], notices: list[Notice]
    ) -> tuple[Tool, ...]:
        """Return the tools that can be offered; each other one gets a notice."""
        tools, unusable, twice = dict[str, Tool](), list[str](), list[str]()
        for definition in definitions:
            tool = self._make_tool(server, definition)
            try:
                if tool.schema.get("type", "object") != "object":
                    raise SchemaError("its arguments are no object")
                tool.checker  # noqa: B018 - made here, not in the turn
            except SchemaError as error:
                unusable.append(f"{definition.name} ({error})")
            else:
                if tools.setdefault(tool.call_name, tool) is not tool:
                    twice.append(definition.name)
        for key, names in (("mcp.schemas_unusable", unusable), ("mcp.names_twice", twice)):
            if names:
                notices.append(Notice(key, {"name": server.name, "tools": _listed(names)}))
        return tuple(tools.values())

    def _make_tool(self, server: McpServer, definition: ServerTool) -> Tool:
        model_name = f"{server.name}-{_NOT_IN_NAME.sub('_', definition.name)}"
        return Tool(
            f"{SOURCE_PREFIX}{server.name}.{definition.name}",
            visible_text(definition.description),
            visible_schema(definition.schema),
            partial(self._call, server.name, definition),
            model_name=model_name[:_MAX_MODEL_NAME_CHARS],
            group=f"{SOURCE_PREFIX}{server.name}",
            source_hash=f"{server.written_hash}{definition.raw_hash}",
            caution=Caution.UNCHECKED_ADDRESSES,
        )

    def _findings(self, server: str, definitions: Sequence[ServerTool]) -> list[Notice]:
        """Return what the user should know about tools that are offered for the first time."""
        others = set(BUILT_IN_TOOLS)
        for name, status in self._status.items():
            if name != server and status.state is McpState.READY:
                others.update(definition.name for definition in status.definitions)
        names = [definition.name for definition in definitions]
        findings = {
            "mcp.hidden_text": [d.name for d in definitions if has_hidden_text(d)],
            "mcp.shadowed_names": [name for name in names if name in others],
            "mcp.look_alikes": [
                f"{name} ({other})"
                for name, other in mistakable_names(names, sorted(others)).items()
                if name not in others
            ],
        }
        return [
            Notice(key, {"name": server, "tools": _listed(found)}) for key, found in findings.items() if found
        ]

    def _warn_of_many(self, names: Sequence[str], report: SourceEventSink) -> None:
        """Tell once what many tools cost."""
        tools = {tool.name: tool for name in names for tool in self.tools_named(name)}
        if len(tools) > MAX_SENSIBLE_TOOLS and not self._has_warned:
            self._has_warned = True
            tokens = sum(schema_tokens(tool.spec.schema) for tool in tools.values())
            report(Notice("mcp.many_tools", {"count": len(tools), "tokens": tokens}))

    # calling

    async def _call(self, name: str, definition: ServerTool, arguments: Arguments) -> str:
        """Call a tool; a server that has ended is started again first.

        Raises:
            ToolError: it failed, or is not what the user was asked about.
        """
        try:
            await self._revive(name)
            current = {tool.name: tool.raw_hash for tool in self.status(name).definitions}
            if current.get(definition.name) != definition.raw_hash:
                raise ToolError(
                    "The tool has changed meanwhile; the user is asked about it with the next message."
                )
            context = current_call.get()
            running = self._running.setdefault(name, [])
            running.append(context)
            try:
                returned = await self._process.request(
                    lambda call_id: CallTool(call_id, name, definition.name, dict(arguments)),
                    lambda news: context.report(news.progress, news.total, news.message),
                )
            finally:
                running.remove(context)
        except Qwen3ChatError as error:
            declined = _DECLINED if self._forms.take_declined(name) else ""
            raise ToolError("\n".join(filter(None, (str(error), declined)))) from error
        assert isinstance(returned, ToolReturned)
        kept = await asyncio.to_thread(keep_images, returned.images, context.chat_id, self._chat_folder)
        declined = _DECLINED if self._forms.take_declined(name) else ""
        text = "\n".join(filter(None, (returned.text, kept, declined)))
        if returned.is_error:
            raise ToolError(text or "The tool failed.")
        return text or "The tool returned nothing."

    async def _revive(self, name: str) -> None:
        """Start a server again that has ended since it was ready.

        Raises:
            Qwen3ChatError: it can't be used any longer.
        """
        async with self._locks.setdefault(name, asyncio.Lock()):
            status = self.status(name)
            if status.state is not McpState.READY:
                servers = await asyncio.to_thread(self._load)
                await self._connect(servers.get(name), status, lambda event: None)

    def _on_news(self, news: News | None) -> None:
        self._has_news.set()
        match news:
            case FormRequested():
                self._forms.receive(news)
            case FormWithdrawn(form_id=form_id):
                self._forms.withdraw(form_id)
            case ToolsChanged(server=server, tools=tools):
                status = self.status(server)
                status.definitions, status.has_changed = tools, True
            case TextsListed(server=server):
                self.status(server).texts = news
            case ServerEnded(server=server):
                self._note_end(self.status(server), news.to_error())
            case None:
                self._forms.withdraw_all()
                for status in self._status.values():
                    if status.state is McpState.READY:
                        self._note_end(status, None)

    def _hold_calls(self, server: str, is_waiting: bool) -> None:
        """Take the time that the user needs for a form out of the time that the calls of its server have."""
        for context in self._running.get(server, ()):
            context.hold(is_waiting)

    def _note_end(self, status: McpStatus, error: McpError | None) -> None:
        status.state, status.error = McpState.NOT_STARTED, error


def launch_tool(name: str, written_hash: str) -> Tool:
    """Return the tool that stands for the start of a server, so that it is allowed as a call is."""
    return Tool(name, "", {"type": "object"}, _never_run, source_hash=written_hash)


def split_name(name: str) -> tuple[str, str]:
    """Return the server and the tool of a name such as `mcp:time.convert_time`; no tool stands for all."""
    server, _, tool = name.removeprefix(SOURCE_PREFIX).partition(".")
    return server, tool


def _listed(names: Sequence[str]) -> str:
    """Return names that a server chose as a text of limited length."""
    shown = [label_of_name(name)[:60] for name in names[:MAX_LISTED]]
    return ", ".join([*shown, f"+{len(names) - MAX_LISTED}"] if len(names) > MAX_LISTED else shown)


def _notice_of(error: Qwen3ChatError) -> Notice:
    return Notice(error.code.text_key, error.plain_values)


async def _never_run(arguments: Arguments) -> str:
    raise ToolError("This is no tool.")
