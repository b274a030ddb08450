"""The list of all tools, with what they cost and what was allowed; and the choice among them."""

from __future__ import annotations

from pathlib import Path

from qwen3_chat.errors import McpError
from qwen3_chat.mcp.config_file import load_servers
from qwen3_chat.mcp.server_config import McpServers, read_servers
from qwen3_chat.mcp.server_messages import ServerTool
from qwen3_chat.mcp.tool_list import (
    ListedTool,
    ToolCatalogue,
    ToolList,
    ToolState,
    add_or_remove,
    chosen_cost,
    is_chosen,
)
from qwen3_chat.mcp.tool_pins import PinFile
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.tools.permissions import Permission, PermissionScope
from qwen3_chat.tools.tool_settings import ToolSettings

FILE = """{"mcpServers": {
    "time": {"command": "time-server"},
    "off": {"command": "x", "disabled": true},
    "bad": {"command": "", "url": ""}
}}"""


def make_catalogue(tmp_path: Path, servers: McpServers | None = None) -> ToolCatalogue:
    found = read_servers(FILE, "mcp.json") if servers is None else servers
    permissions = PermissionFile(tmp_path / "permissions.json")
    return ToolCatalogue(ToolSettings(), permissions, tmp_path / "pins.json", lambda: found)


def pin_time(tmp_path: Path) -> None:
    server = read_servers(FILE, "mcp.json").usable["time"]
    definitions = [
        ServerTool(name, "Tell it.", {"type": "object"}, "0" * 64, f'{{"description": "Tell it. {name}"}}')
        for name in ("now", "convert")
    ]
    PinFile(tmp_path / "pins.json").set("time", server.written_hash, definitions)


def row(tools: ToolList, name: str) -> ListedTool:
    return next(tool for tool in tools.rows() if tool.name == name)


def test_servers_are_listed_with_the_tools_that_they_had(tmp_path: Path) -> None:
    pin_time(tmp_path)
    tools = make_catalogue(tmp_path).read()
    time = row(tools, "mcp:time")
    assert [part.name for part in time.parts] == ["mcp:time.now", "mcp:time.convert"]
    assert time.parts[1].about == "Tell it. convert"
    assert time.schema_tokens == sum(part.schema_tokens for part in time.parts) > 0
    assert row(tools, "mcp:off").state is ToolState.DISABLED
    assert row(tools, "mcp:bad").state is ToolState.UNUSABLE
    assert not row(tools, "mcp:off").state.can_be_offered
    assert row(tools, "now").asks is False
    assert row(tools, "fetch").asks is True


def test_permissions_stand_beside_their_tool_until_they_are_revoked(tmp_path: Path) -> None:
    pin_time(tmp_path)
    file = PermissionFile(tmp_path / "permissions.json")
    for name in ("mcp:time.now", "mcp:gone.tool", "fetch"):
        file.add(Permission(name, "0" * 64, PermissionScope.HOST, "https://example.com"))
    catalogue = make_catalogue(tmp_path)
    tools = catalogue.read()
    assert len(row(tools, "mcp:time.now").permissions) == 1
    assert row(tools, "fetch").permissions[0].is_outdated
    assert row(tools, "mcp:gone.tool").state is ToolState.MISSING
    assert catalogue.revoke("mcp:time.now") == 1
    assert row(catalogue.read(), "mcp:time.now").permissions == ()


def test_what_cannot_be_read_is_told_and_leaves_the_rest(tmp_path: Path) -> None:
    (tmp_path / "permissions.json").write_text("{")
    (tmp_path / "mcp.json").write_text("[1")
    catalogue = ToolCatalogue(
        ToolSettings(),
        PermissionFile(tmp_path / "permissions.json"),
        tmp_path / "pins.json",
        lambda: load_servers(tmp_path / "mcp.json"),
    )
    tools = catalogue.read()
    assert row(tools, "calculator").state is ToolState.READY
    assert len(tools.problems) == 2
    assert isinstance(tools.problems[1], McpError)


def test_one_tool_of_a_chosen_server_is_taken_away_by_naming_the_others(tmp_path: Path) -> None:
    pin_time(tmp_path)
    tools = make_catalogue(tmp_path).read()
    server, now, convert = (row(tools, name) for name in ("mcp:time", "mcp:time.now", "mcp:time.convert"))
    chosen = add_or_remove(("calculator",), server, tools)
    assert chosen == ("calculator", "mcp:time")
    assert is_chosen(chosen, now)
    chosen = add_or_remove(chosen, now, tools)
    assert chosen == ("calculator", "mcp:time.convert")
    assert not is_chosen(chosen, now)
    assert is_chosen(chosen, convert)
    assert add_or_remove(chosen, server, tools) == ("calculator", "mcp:time")
    assert add_or_remove(chosen, convert, tools) == ("calculator",)


def test_the_cost_is_that_of_the_single_tools(tmp_path: Path) -> None:
    pin_time(tmp_path)
    tools = make_catalogue(tmp_path).read()
    calculator, server = row(tools, "calculator"), row(tools, "mcp:time")
    count, tokens = chosen_cost(("calculator", "mcp:time"), tools)
    assert (count, tokens) == (3, calculator.schema_tokens + server.schema_tokens)
    assert chosen_cost((), tools) == (0, 0)
