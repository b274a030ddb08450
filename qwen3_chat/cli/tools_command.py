"""`qwen3-chat tools`: the tools that the model may call, and the standing permissions."""

from __future__ import annotations

import sys
from itertools import groupby

import msgspec

from qwen3_chat.cli.composition import tool_settings
from qwen3_chat.cli.json_output import print_json
from qwen3_chat.config import find_paths, read_settings
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import McpError, StoreError, UsageError
from qwen3_chat.jail.jail_settings import jail_problem
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import label_of_name, terminal_safe
from qwen3_chat.tools.built_in_tools import BUILT_IN_TOOLS, Toolbox
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.tools.permissions import Permission
from qwen3_chat.tools.tool import SCHEMA_CHARS_PER_TOKEN, Reach, Tool
from qwen3_chat.tools.tool_source import SOURCE_PREFIX

ALL_TOOLS = "all"
MCP = "mcp"


class PermissionRow(msgspec.Struct, frozen=True):
    """A standing permission in the output of `tools --json`; one for another form of the tool is outdated."""

    scope: str
    value: str
    outdated: bool


class ToolRow(msgspec.Struct, frozen=True):
    """A tool in the output of `tools --json`; `schema_tokens` is an estimate.

    A tool that only has permissions left is `missing`; one that can't run on this machine is `off`.
    """

    name: str
    source: str
    state: str
    schema_tokens: int
    consent: str
    permissions: list[PermissionRow] = []


def list_tools(*, as_json: bool) -> None:
    """Print the tools, each with what it costs, whether it asks, and what was allowed for good."""
    rows = _rows()
    if as_json:
        print_json(rows)
        return
    from rich.cells import cell_len, set_cell_size  # here: `--json` does without

    width = max(len(row.name) for row in rows)
    consents = {row.consent: t(f"cli.tool_consent.{row.consent}") for row in rows}
    consent_width = max(map(cell_len, consents.values()))
    for row in rows:
        about = _about(row)
        consent = set_cell_size(consents[row.consent], consent_width)
        print(f"{label_of_name(row.name):{width}}  {consent}  {about}")
        for permission in row.permissions:
            sentence = t(f"cli.permission.{permission.scope}", limit=label_of_name(permission.value))
            note = t("cli.permission.outdated") if permission.outdated else ""
            print(terminal_safe(f"{'':{width}}  {sentence}{note}"))


def revoke_permissions(name: str) -> None:
    """Revoke the standing permissions of a tool, or of all tools.

    Raises:
        UsageError: there is neither a tool nor a permission of that name.
        StoreError: the permissions can't be changed.
    """
    file = PermissionFile(find_paths().permissions_file)
    count = file.revoke(None if name == ALL_TOOLS else name)
    if not count and name != ALL_TOOLS and name not in BUILT_IN_TOOLS:
        raise UsageError(ErrorCode.PERMISSION_UNKNOWN, name=label_of_name(name))
    print(t("cli.permissions_revoked", count=count) if count else t("cli.no_permissions"))


def _rows() -> list[ToolRow]:
    paths = find_paths()
    settings = tool_settings(read_settings(paths.settings_file).settings, paths)
    tools = Toolbox(settings).registry(tuple(BUILT_IN_TOOLS))
    servers = _server_rows()
    permissions = sorted(_read_permissions(), key=lambda permission: permission.tool)
    by_tool = {name: list(group) for name, group in groupby(permissions, lambda permission: permission.tool)}
    rows = []
    for name in BUILT_IN_TOOLS:
        tool, given = tools.get(name), by_tool.pop(name, [])
        rows.append(_row(tool, given) if tool else _off_row(name, given))
    for row, written_hash in servers:
        given = by_tool.pop(row.name, [])
        rows.append(
            msgspec.structs.replace(
                row, permissions=[_server_permission(p, row.name, written_hash) for p in given]
            )
        )
    for name, left in by_tool.items():
        rows.append(ToolRow(name, "unknown", "missing", 0, "ask", [_permission_row(p, None) for p in left]))
    return rows


def _about(row: ToolRow) -> str:
    if row.state == "off" and (problem := jail_problem()):
        return t("cli.tool_off", reason=t(f"jail.{problem}"))
    if row.name in BUILT_IN_TOOLS:
        return t(f"tool.{row.name}.about")
    return t("cli.tool_server", tokens=row.schema_tokens) if row.source == MCP else t("cli.tool_missing")


def _server_rows() -> list[tuple[ToolRow, str]]:
    """Return a row for each MCP server with the hash of its entry; its tools cost what they did last time."""
    paths = find_paths()
    if not paths.mcp_file.exists():
        return []
    from qwen3_chat.mcp.config_file import load_servers
    from qwen3_chat.mcp.tool_pins import PinFile

    pins, rows = PinFile(paths.mcp_pins_file), list[tuple[ToolRow, str]]()
    try:
        servers = load_servers(paths.mcp_file)
    except McpError as error:
        print(terminal_safe(str(error)), file=sys.stderr)
        return []
    for name in servers.names:
        server = servers.usable.get(name)
        state = "unusable" if server is None else "disabled" if server.is_disabled else "not_started"
        pinned = pins.get(name, server.written_hash) if server else None
        tokens = round(sum(len(tool.raw) for tool in pinned or ()) / SCHEMA_CHARS_PER_TOKEN)
        row = ToolRow(f"{SOURCE_PREFIX}{label_of_name(name)}", MCP, state, tokens, "ask")
        rows.append((row, server.written_hash if server else ""))
    return rows


def _server_permission(permission: Permission, name: str, written_hash: str) -> PermissionRow:
    from qwen3_chat.mcp.mcp_tools import launch_tool

    is_outdated = launch_tool(name, written_hash).definition_hash != permission.definition_hash
    return PermissionRow(permission.scope.value, permission.value, is_outdated)


def _read_permissions() -> tuple[Permission, ...]:
    """Return the standing permissions; where they can't be read, none, with a sentence on stderr."""
    try:
        return PermissionFile(find_paths().permissions_file).read()
    except StoreError as error:
        print(terminal_safe(str(error)), file=sys.stderr)
        return ()


def _row(tool: Tool, permissions: list[Permission]) -> ToolRow:
    tokens = round(len(tool.spec.schema) / SCHEMA_CHARS_PER_TOKEN)
    consent = "allow" if tool.reach is Reach.NOTHING else "ask"
    rows = [_permission_row(permission, tool) for permission in permissions]
    return ToolRow(tool.name, "built_in", "ready", tokens, consent, rows)


def _off_row(name: str, permissions: list[Permission]) -> ToolRow:
    rows = [_permission_row(permission, None) for permission in permissions]
    return ToolRow(name, "built_in", "off", 0, "ask", rows)


def _permission_row(permission: Permission, tool: Tool | None) -> PermissionRow:
    is_outdated = tool is None or permission.definition_hash != tool.definition_hash
    return PermissionRow(permission.scope.value, permission.value, is_outdated)
