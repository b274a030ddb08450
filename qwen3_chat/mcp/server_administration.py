"""The user's MCP servers as they are administered: listed with their state, added, removed, started again."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qwen3_chat.child_process import split_command
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import McpError, StoreError, UsageError
from qwen3_chat.mcp.config_file import add_server, load_servers, remove_server
from qwen3_chat.mcp.launch import shown_launch
from qwen3_chat.mcp.launch_secrets import is_secret
from qwen3_chat.mcp.mcp_tools import McpTools
from qwen3_chat.mcp.server_config import McpServer, McpServers, parse_server
from qwen3_chat.mcp.server_status import McpState, McpStatus
from qwen3_chat.mcp.tool_pins import PinFile
from qwen3_chat.texts.terminal_safe import label_of_name
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.tools.permissions import Permission
from qwen3_chat.tools.tool import schema_tokens
from qwen3_chat.tools.tool_source import SOURCE_PREFIX, SourceEventSink

MAX_SHOWN_LOG_BYTES: Final = 64 * 1024
"""The part of a log that is shown: its end."""


@dataclass(frozen=True, slots=True)
class ListedServer:
    """A server: what runs or is reached, its tools as they were last seen, what was allowed for good."""

    name: str
    state: McpState
    launch: str = ""
    """The command with its arguments, or the address."""
    tools: tuple[str, ...] = ()
    schema_tokens: int = 0
    title: str = ""
    protocol: str = ""
    error: str = ""
    permissions: tuple[Permission, ...] = ()
    has_log: bool = False
    is_ours: bool = True
    """True if it stands in the app's own file, from which it can be removed."""
    transport: str = ""
    """As `mcp list --json` calls it; empty where its file does not say it."""


class ServerAdministration:
    """The servers of this user; files are read anew each time, so that what other programs change counts.

    `load` returns the servers and raises `McpError`; `get_tools` returns what talks to them.
    """

    def __init__(
        self,
        own_file: Path,
        log_folder: Path,
        tokens_folder: Path,
        permission_file: PermissionFile,
        pins: PinFile,
        environ: Mapping[str, str],
        load: Callable[[], McpServers] | None = None,
        get_tools: Callable[[], McpTools] | None = None,
    ) -> None:
        self._own_file = own_file
        self._log_folder = log_folder
        self._tokens_folder = tokens_folder
        self._permission_file = permission_file
        self._pins = pins
        self._environ = environ
        self._load = load or (lambda: load_servers(own_file))
        self._get_tools = get_tools

    def read(self) -> tuple[ListedServer, ...]:
        """Return all servers, none of which is started for it.

        Raises:
            McpError: a file can't be read.
        """
        servers, own = self._load(), load_servers(self._own_file).names
        try:
            permissions = self._permission_file.read()
        except StoreError:
            permissions = ()  # nothing is allowed then; the list of tools says why
        return tuple(self._listed(name, servers, permissions, is_ours=name in own) for name in servers.names)

    def _listed(
        self, name: str, servers: McpServers, permissions: Sequence[Permission], *, is_ours: bool
    ) -> ListedServer:
        given = tuple(permission for permission in permissions if _is_of(permission.tool, name))
        has_log = self.log_path(name).exists()
        server = servers.usable.get(name)
        if server is None:
            problem = str(servers.problems[name])
            return ListedServer(
                name,
                McpState.UNUSABLE,
                error=problem,
                permissions=given,
                has_log=has_log,
                is_ours=is_ours,
            )
        status = self._get_tools().status(name) if self._get_tools is not None else McpStatus()
        state, error = status.state, str(status.error or "")
        try:
            launch = _launch_line(server, self._environ)
        except McpError as missing:
            launch = label_of_name(server.command)
            if state in (McpState.NOT_STARTED, McpState.FAILED):
                state, error = McpState.UNUSABLE, str(missing)
        if server.is_disabled:
            state, error = McpState.DISABLED, ""
        tools = tuple(definition.name for definition in status.definitions)
        raws = [definition.raw for definition in status.definitions]
        if not tools:
            pinned = self._pins.get(name, server.written_hash) or ()
            tools, raws = tuple(tool.name for tool in pinned), [tool.raw for tool in pinned]
        return ListedServer(
            name,
            state,
            launch,
            tools,
            sum(map(schema_tokens, raws)),
            status.title.strip() if state is McpState.READY else "",
            status.protocol if state is McpState.READY else "",
            error,
            given,
            has_log,
            is_ours,
            server.transport.value,
        )

    def is_running(self, name: str) -> bool:
        """Return whether a server runs now."""
        return self._get_tools is not None and self._get_tools().status(name).state is McpState.READY

    def add(self, name: str, command_or_url: str, variables: str = "") -> None:
        """Add a server to our own file as it is typed on one line each; it is not started.

        Raises:
            Qwen3ChatError: it can't be described in this way, or the file can't be written.
        """
        typed = command_or_url.strip()
        if "://" in typed.partition(" ")[0]:
            server = describe_server(name.strip(), (), typed, (), _words(name, variables))
        else:
            server = describe_server(name.strip(), _words(name, typed), None, _words(name, variables), ())
        add_server(self._own_file, server)

    async def connect(self, name: str, report: SourceEventSink) -> None:
        """Connect to a server, asking first where the user has not allowed it; one that runs ends before.

        Raises:
            Qwen3ChatError: it can't be used, or is not allowed.
        """
        if self._get_tools is not None:
            server = self._load().get(name)
            await self._get_tools().reconnect(server, report)

    async def disconnect(self, name: str) -> None:
        """End a server and forget what is known of it."""
        if self._get_tools is not None:
            await self._get_tools().forget(name)

    def remove(self, name: str) -> None:
        """Remove a server from our own file, with its permissions, its pinned tools, its log and its tokens.

        Raises:
            Qwen3ChatError: there is no such server in our own file, or it can't be written.
        """
        remove_server(self._own_file, name)
        with suppress(StoreError):
            self.revoke(name)
        self._pins.forget(name)
        log = self.log_path(name)
        for file in (log, log.with_name(f"{log.name}.1"), self._tokens_folder / f"{name}.json"):
            with suppress(OSError):
                file.unlink(missing_ok=True)

    def revoke(self, name: str) -> int:
        """Revoke what was allowed for good to a server and to its tools; return how many permissions it were.

        Raises:
            StoreError: the permissions can't be changed.
        """
        tools = {p.tool for p in self._permission_file.read() if _is_of(p.tool, name)}
        if self._get_tools is not None:
            self._get_tools().status(name).launched = ""  # so that its next start is asked about as well
        return sum(self._permission_file.revoke(tool) for tool in sorted(tools))

    def log_path(self, name: str) -> Path:
        """Return the file that has what a server wrote to stderr, which may not exist."""
        return self._log_folder / f"mcp-{name}.log"

    def read_log(self, name: str) -> str:
        """Return the end of the log of a server; nothing where there is none."""
        try:
            with self.log_path(name).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - MAX_SHOWN_LOG_BYTES))
                content = file.read(MAX_SHOWN_LOG_BYTES).decode("utf-8", "replace")
        except OSError:
            return ""
        return content if size <= MAX_SHOWN_LOG_BYTES else f"…{content.partition(chr(10))[2]}"


def describe_server(
    name: str,
    command: Sequence[str],
    url: str | None,
    environment: Sequence[str],
    headers: Sequence[str],
    folder: Path | None = None,
) -> McpServer:
    """Return the server of a command or of an address, with `NAME=VALUE` for each variable and header.

    A command runs in `folder`, else in the home folder.

    Raises:
        UsageError: it can't be described in this way, or has a secret that does not belong there.
    """
    entry: dict[str, object] = {"command": command[0], "args": list(command[1:])} if command else {}
    if url is not None:
        if command:
            raise UsageError(ErrorCode.MCP_COMMAND_MISSING, name=name)
        entry = {"url": url, "type": "http"}
    entry |= {"cwd": str(folder.expanduser().absolute())} if folder is not None and command else {}
    entry |= {"env": _pairs(environment)} if environment else {}
    entry |= {"headers": _pairs(headers)} if headers else {}
    return parse_server(name, entry)


def _launch_line(server: McpServer, environ: Mapping[str, str]) -> str:
    """Return what a server is started with or reached by, without its secrets, as one line.

    Raises:
        McpError: the command is not installed.
    """
    facts = json.loads(shown_launch(server, environ, is_for_log=True))
    if "url" in facts:
        return label_of_name(facts["url"])
    return label_of_name(shlex.join([facts["command"], *facts.get("arguments", ())]))


def _is_of(tool: str, server: str) -> bool:
    group = f"{SOURCE_PREFIX}{server}"
    return tool == group or tool.startswith(f"{group}.")


def _words(name: str, line: str) -> list[str]:
    """Return the words of a line, as a shell divides it.

    Raises:
        UsageError: a quotation mark is left open.
    """
    try:
        return split_command(line)
    except ValueError as error:
        raise UsageError(ErrorCode.MCP_LINE_INVALID, name=name, reason=error) from error


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    """Return the pairs of `NAME=VALUE`.

    Raises:
        UsageError: one is none, or its value is a secret that does not belong here.
    """
    pairs = dict[str, str]()
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name or not value:
            raise UsageError(ErrorCode.MCP_PAIR_INVALID, pair=name)
        if is_secret(name, value):
            raise UsageError(ErrorCode.MCP_SECRET_IN_COMMAND_LINE, name=name)
        pairs[name.strip()] = value
    return pairs
