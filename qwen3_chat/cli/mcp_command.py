"""`qwen3-chat mcp`: the MCP servers that are known; add, remove, test one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from qwen3_chat.cli.composition import make_server_administration
from qwen3_chat.cli.interrupts import run_until_interrupt
from qwen3_chat.cli.json_output import print_json
from qwen3_chat.cli.mcp_source import McpSource
from qwen3_chat.cli.standard_streams import can_ask, read_new_line
from qwen3_chat.cli.terminal_lines import print_sentence
from qwen3_chat.config import find_paths
from qwen3_chat.errors import Qwen3ChatError
from qwen3_chat.events import Notice
from qwen3_chat.mcp.config_file import add_server
from qwen3_chat.mcp.server_administration import describe_server
from qwen3_chat.mcp.server_config import McpServer
from qwen3_chat.mcp.server_status import McpState, McpStatus
from qwen3_chat.plain_chat.consent_lines import ConsentLines
from qwen3_chat.plain_chat.form_lines import FormLines
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import label_of_name, terminal_safe
from qwen3_chat.tools.consent import ConsentAnswer, ConsentKind, ConsentPrompt, ConsentRequest
from qwen3_chat.tools.shown_arguments import show_arguments
from qwen3_chat.tools.tool import schema_tokens
from qwen3_chat.tools.tool_source import ToolServerStarting


class McpRow(msgspec.Struct, frozen=True):
    """A server in the output of `mcp list --json`; `tools` are those of the last time it was connected to."""

    name: str
    transport: str
    state: str
    tools: list[str]
    error: str | None = None


class TestedTool(msgspec.Struct, frozen=True):
    """A tool in the output of `mcp test --json`; `schema_tokens` is an estimate."""

    name: str
    description: str
    schema_tokens: int


class TestedServer(msgspec.Struct, frozen=True):
    """The output of `mcp test --json`."""

    name: str
    state: str
    server: str = ""
    protocol: str = ""
    tools: list[TestedTool] = []
    notices: list[str] = []
    error: str | None = None
    error_code: str | None = None


def ask_on_terminal() -> ConsentPrompt | None:
    """Return the function that asks on the terminal; None where nobody sits at one."""
    if not can_ask():
        return None
    write_line = partial(print, file=sys.stderr, flush=True)
    return ConsentLines(write_line, partial(read_new_line, output=sys.stderr)).ask


def list_servers(other_file: Path | None, *, as_json: bool) -> None:
    """Print the servers, none of which is started for it."""
    paths = find_paths()
    servers = make_server_administration(paths, McpSource(paths, other_file)).read()
    if as_json:
        print_json(
            [
                McpRow(
                    label_of_name(server.name),
                    server.transport,
                    server.state.value,
                    list(server.tools),
                    server.error or None,
                )
                for server in servers
            ]
        )
        return
    if not servers:
        print(t("cli.mcp.none"))
        return
    names = [label_of_name(server.name) for server in servers]
    width = max(map(len, names))
    for name, server in zip(names, servers, strict=True):
        print(f"{name:{width}}  {t(f'cli.mcp.state.{server.state}')}  {server.launch}".rstrip())
        if server.error:
            print_sentence(terminal_safe(f"{'':{width}}  {server.error}"), width + 2)
        if server.tools:
            tools = label_of_name(", ".join(server.tools))
            print_sentence(terminal_safe(f"{'':{width}}  {tools}"), width + 2)


def add(
    name: str,
    command: Sequence[str],
    url: str | None,
    environment: Sequence[str],
    headers: Sequence[str],
    folder: Path | None = None,
) -> None:
    """Add a server to our own file; it is not started.

    Raises:
        UsageError: it can't be described in this way.
        McpError: the file can't be written.
    """
    server = describe_server(name, command, url, environment, headers, folder)
    paths = find_paths()
    add_server(paths.mcp_file, server)
    print(t("cli.mcp.added", name=name, path=paths.mcp_file))


def remove(name: str) -> None:
    """Remove a server from our own file, with its permissions, its pinned tools and its log.

    Raises:
        UsageError: there is no such server.
        Qwen3ChatError: a file can't be written.
    """
    make_server_administration(find_paths()).remove(name)
    print(t("cli.mcp.removed", name=name))


def test_server(name: str, other_file: Path | None, *, says_yes: bool, as_json: bool) -> int:
    """Start a server and print what it offers; ask first where it was not allowed; return the status.

    Raises:
        UsageError: there is no such server.
    """
    source = McpSource(find_paths(), other_file)
    server = source.servers().get(name)
    forms = FormLines(partial(print, file=sys.stderr, flush=True), partial(read_new_line, output=sys.stderr))
    ask = _yes_to_all if says_yes else ask_on_terminal()
    source.set_trust(ask, fill=forms.fill if can_ask() else None)
    return asyncio.run(_test(source, server, as_json=as_json))


async def _test(source: McpSource, server: McpServer, *, as_json: bool) -> int:
    notices = list[str]()

    def report(event: Notice | ToolServerStarting) -> None:
        if not isinstance(event, Notice):
            return
        notice = event
        notices.append(terminal_safe(t(notice.key, **notice.values)))
        if not as_json:
            print(notices[-1], file=sys.stderr)

    failures, state = list[Qwen3ChatError](), McpState.NOT_STARTED

    async def connect() -> None:
        try:
            await source.tools.connect(server, report)
        except Qwen3ChatError as error:
            failures.append(error)

    try:
        was_stopped = await run_until_interrupt(connect())
        status = source.tools.status(server.name)
        state = status.state  # before it is ended
    finally:
        await source.close()
    if was_stopped:
        raise KeyboardInterrupt
    error = failures[0] if failures else None
    if as_json:
        print_json(_tested(server.name, state, status, notices, error))
    if error is not None:
        if not as_json:
            raise error
        print(terminal_safe(str(error)), file=sys.stderr)
        return 1
    if not as_json:
        _print_status(server, status)
    return 0


def _tested(
    name: str, state: McpState, status: McpStatus, notices: list[str], error: Qwen3ChatError | None
) -> TestedServer:
    tools = [
        TestedTool(tool.name, tool.description, schema_tokens(tool.spec.schema)) for tool in status.tools
    ]
    code = error.code.value if error else None
    return TestedServer(
        name,
        state.value,
        status.title,
        status.protocol,
        tools,
        notices,
        terminal_safe(str(error)) if error else None,
        code,
    )


def _print_status(server: McpServer, status: McpStatus) -> None:
    tokens = sum(schema_tokens(tool.spec.schema) for tool in status.tools)
    print(
        t(
            "cli.mcp.works",
            name=server.name,
            title=status.title.strip() or "–",
            protocol=status.protocol,
            count=len(status.tools),
            tokens=tokens,
        )
    )
    for tool in status.tools:
        description = " ".join(tool.description.split())[:100]
        line = t(
            "cli.mcp.tool",
            name=label_of_name(tool.name),
            tokens=schema_tokens(tool.spec.schema),
            about=description,
        )
        print(terminal_safe(line))


async def _yes_to_all(request: ConsentRequest) -> ConsentAnswer:
    """Say yes to what `--yes` covers, and show it."""
    name = label_of_name(request.label)
    title = request.text_key("linear.consent.", "title")
    print(t(title, name=name), file=sys.stderr)
    print(show_arguments(request.call.arguments), file=sys.stderr)
    is_start = request.kind is ConsentKind.SERVER
    permission = request.permissions[0] if is_start and request.permissions else None
    return ConsentAnswer(is_allowed=True, permission=permission)
