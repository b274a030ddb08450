"""All tools that there are, offered or not: what each costs, whether it asks, what was allowed for good."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from pathlib import Path

import msgspec

from qwen3_chat.errors import Qwen3ChatError, StoreError
from qwen3_chat.mcp.mcp_tools import launch_tool
from qwen3_chat.mcp.server_administration import ServerAdministration
from qwen3_chat.mcp.server_config import McpServer, McpServers
from qwen3_chat.mcp.tool_findings import visible_text
from qwen3_chat.mcp.tool_pins import PinFile, PinnedTool
from qwen3_chat.record_copies import replace
from qwen3_chat.tools.built_in_tools import BUILT_IN_TOOLS, Toolbox
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.tools.permissions import Permission
from qwen3_chat.tools.tool import Reach, Tool, schema_tokens
from qwen3_chat.tools.tool_settings import ToolSettings
from qwen3_chat.tools.tool_source import SOURCE_PREFIX


class ToolKind(StrEnum):
    """The kind of a tool, by who provides it."""

    BUILT_IN = "built_in"
    MCP = "mcp"
    UNKNOWN = "unknown"


class ToolState(StrEnum):
    """The state of a tool or of a server of tools."""

    READY = "ready"
    OFF = "off"
    """It can't run on this machine."""
    NOT_STARTED = "not_started"
    DISABLED = "disabled"
    UNUSABLE = "unusable"
    MISSING = "missing"
    """Only permissions are left of it."""

    @property
    def can_be_offered(self) -> bool:
        """True if a chat can offer it."""
        return self in (ToolState.READY, ToolState.NOT_STARTED)


@dataclass(frozen=True, slots=True)
class ListedPermission:
    """A standing permission; one for another form of the tool is outdated."""

    permission: Permission
    is_outdated: bool


@dataclass(frozen=True, slots=True)
class ListedTool:
    """A tool, or a server with its tools as `parts`; `schema_tokens` is an estimate."""

    name: str
    kind: ToolKind
    state: ToolState
    schema_tokens: int = 0
    asks: bool = True
    permissions: tuple[ListedPermission, ...] = ()
    about: str = ""
    """The description that a server gives of its tool."""
    parts: tuple[ListedTool, ...] = ()

    @property
    def is_part(self) -> bool:
        """True for a single tool of a server."""
        return self.kind is ToolKind.MCP and "." in self.name


@dataclass(frozen=True, slots=True)
class ToolList:
    """All tools, and what could not be read of them."""

    tools: tuple[ListedTool, ...]
    problems: tuple[Qwen3ChatError, ...] = ()

    def rows(self) -> Iterator[ListedTool]:
        """Yield each tool, a server before its tools."""
        for tool in self.tools:
            yield tool
            yield from tool.parts


class ToolCatalogue:
    """The tools of this user, read anew each time, so that what other programs change counts.

    `load_servers` returns the MCP servers and raises `McpError`.
    """

    def __init__(
        self,
        settings: ToolSettings,
        permission_file: PermissionFile,
        pins_file: Path,
        load_servers: Callable[[], McpServers],
        administration: ServerAdministration | None = None,
    ) -> None:
        self.administration = administration
        """What lists and changes the servers."""
        self._settings = settings
        self._permission_file = permission_file
        self._pins = PinFile(pins_file)
        self._load_servers = load_servers

    def read(self) -> ToolList:
        """Return all tools: built-in ones, servers, and those of which only permissions are left."""
        problems = list[Qwen3ChatError]()
        try:
            permissions = self._permission_file.read()
        except StoreError as error:
            permissions = ()
            problems.append(error)
        try:
            servers = self._load_servers()
        except Qwen3ChatError as error:
            servers = McpServers()
            problems.append(error)
        in_order = sorted(permissions, key=lambda permission: permission.tool)
        left = {name: tuple(group) for name, group in groupby(in_order, lambda permission: permission.tool)}
        registry = Toolbox(self._settings).registry(tuple(BUILT_IN_TOOLS))
        tools = [_built_in(name, registry.get(name), left.pop(name, ())) for name in BUILT_IN_TOOLS]
        for name in servers.names:
            server = servers.usable.get(name)
            pinned = self._pins.get(name, server.written_hash) if server else None
            parts = tuple(
                replace(part, permissions=_listed(left.pop(part.name, ()), is_outdated=False))
                for part in map(_part_maker(name), pinned or ())
            )
            runs = self.administration is not None and self.administration.is_running(name)
            tools.append(_server(name, server, parts, left.pop(f"{SOURCE_PREFIX}{name}", ()), runs))
        tools += [
            ListedTool(
                name, ToolKind.UNKNOWN, ToolState.MISSING, permissions=_listed(given, is_outdated=True)
            )
            for name, given in left.items()
        ]
        return ToolList(tuple(tools), tuple(problems))

    def revoke(self, name: str) -> int:
        """Revoke the standing permissions of a tool; return how many there were.

        Raises:
            StoreError: the permissions can't be changed.
        """
        return self._permission_file.revoke(name)


def add_or_remove(chosen: Sequence[str], row: ListedTool, tools: ToolList) -> tuple[str, ...]:
    """Return the chosen names with a tool added, or removed if it was among them.

    A server stands for all of its tools. To take one of them away from it, the others are named instead.
    """
    server = next((tool for tool in tools.tools if row in tool.parts), None)
    if server is not None and server.name in chosen:
        others = [part.name for part in server.parts if part.name != row.name]
        return tuple(dict.fromkeys([*(name for name in chosen if name != server.name), *others]))
    if row.name in chosen:
        return tuple(name for name in chosen if name != row.name)
    parts = {part.name for part in row.parts}
    return (*(name for name in chosen if name not in parts), row.name)


def is_chosen(chosen: Sequence[str], row: ListedTool) -> bool:
    """Return whether a tool is among the chosen ones, by its own name or by that of its server."""
    return row.name in chosen or (row.is_part and row.name.partition(".")[0] in chosen)


def chosen_cost(chosen: Sequence[str], tools: ToolList) -> tuple[int, int]:
    """Return how many tools are chosen, and the tokens that their schemas take of each prompt.

    A server whose tools are not known yet counts as one without cost.
    """
    single = [row for row in tools.rows() if not row.parts and is_chosen(chosen, row)]
    return len(single), sum(row.schema_tokens for row in single)


def _built_in(name: str, tool: Tool | None, permissions: Sequence[Permission]) -> ListedTool:
    if tool is None:
        given = _listed(permissions, is_outdated=True)
        return ListedTool(name, ToolKind.BUILT_IN, ToolState.OFF, permissions=given)
    return ListedTool(
        name,
        ToolKind.BUILT_IN,
        ToolState.READY,
        schema_tokens(tool.spec.schema),
        tool.reach is not Reach.NOTHING,
        tuple(ListedPermission(p, p.definition_hash != tool.definition_hash) for p in permissions),
    )


def _server(
    name: str,
    server: McpServer | None,
    parts: tuple[ListedTool, ...],
    permissions: Sequence[Permission],
    is_running: bool,
) -> ListedTool:
    if server is None:
        state = ToolState.UNUSABLE
    elif server.is_disabled:
        state = ToolState.DISABLED
    else:
        state = ToolState.READY if is_running else ToolState.NOT_STARTED
    tool_name = f"{SOURCE_PREFIX}{name}"
    launch = launch_tool(tool_name, server.written_hash if server else "").definition_hash
    return ListedTool(
        tool_name,
        ToolKind.MCP,
        state,
        sum(part.schema_tokens for part in parts),
        permissions=tuple(ListedPermission(p, p.definition_hash != launch) for p in permissions),
        parts=tuple(replace(part, state=state) for part in parts),
    )


def _part_maker(server: str) -> Callable[[PinnedTool], ListedTool]:
    def make(pinned: PinnedTool) -> ListedTool:
        return ListedTool(
            f"{SOURCE_PREFIX}{server}.{pinned.name}",
            ToolKind.MCP,
            ToolState.NOT_STARTED,
            schema_tokens(pinned.raw),
            about=_description(pinned),
        )

    return make


def _description(pinned: PinnedTool) -> str:
    """Return what a server says of its tool; nothing where that was too long to be stored whole."""
    try:
        return visible_text(msgspec.json.decode(pinned.raw, type=_Described).description)
    except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors
        return ""


class _Described(msgspec.Struct):
    description: str = ""


def _listed(permissions: Sequence[Permission], *, is_outdated: bool) -> tuple[ListedPermission, ...]:
    return tuple(ListedPermission(permission, is_outdated) for permission in permissions)
