"""The dialog with the MCP servers: added, started, looked at, revoked, removed by its keys alone."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import made_up_mcp_server
from qwen3_chat.mcp.config_file import load_servers
from qwen3_chat.mcp.mcp_tools import McpTools
from qwen3_chat.mcp.server_administration import ServerAdministration
from qwen3_chat.mcp.server_status import McpTrust
from qwen3_chat.mcp.tool_pins import PinFile
from qwen3_chat.tools.built_in_tools import Toolbox
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.ui.screens.mcp_servers_screen import AddServerScreen, McpServersScreen, ServerLogScreen
from tests.fakes import FakeEngine
from tests.harness import Harness, open_app

SIZE = (120, 40)


@asynccontextmanager
async def app_with_real_servers(folder: Path) -> AsyncIterator[Harness]:
    """Open the app with the servers of a file that is written while it runs, and with the real process."""
    permissions, pins = PermissionFile(folder / "permissions.json"), PinFile(folder / "pins.json")
    load = partial(load_servers, folder / "mcp.json")
    tools = McpTools(load, folder / "mcp.log", folder, os.environ, McpTrust(permissions, pins))
    toolbox = Toolbox(source=tools)
    async with open_app(folder, FakeEngine(), SIZE, toolbox=toolbox, get_mcp_tools=lambda: tools) as app:
        tools.set_trust(McpTrust(permissions, pins, app.screen.consent.ask))
        try:
            yield app
        finally:
            await tools.close()


async def listed(app: Harness) -> McpServersScreen:
    """Wait until the list is on top."""
    await app.until(lambda: isinstance(app.app.screen, McpServersScreen))
    screen = app.app.screen
    assert isinstance(screen, McpServersScreen)
    return screen


async def add(app: Harness, name: str, command: str, variables: str = "") -> None:
    """Fill the form of a new server and send it."""
    await app.pilot.press("a")
    await app.until(lambda: isinstance(app.app.screen, AddServerScreen))
    screen = app.app.screen
    assert isinstance(screen, AddServerScreen)
    for line, text in zip(screen.form_lines, (name, command, variables), strict=True):
        line.input.value = text
    await app.pilot.press("ctrl+s")


async def test_a_server_is_added_started_revoked_and_removed(tmp_path: Path) -> None:
    async with app_with_real_servers(tmp_path) as app:
        await app.say("/mcp")
        await app.sees("An MCP server is a program or web address that gives the model tools.")
        script = made_up_mcp_server.__file__
        await add(app, "good", f"'{sys.executable}' -S '{script}' OldAndHonest", "KIND=plain")
        await app.sees("good · not running")
        written = json.loads((tmp_path / "mcp.json").read_text("utf-8"))["mcpServers"]["good"]
        assert written == {
            "command": sys.executable,
            "args": ["-S", script, "OldAndHonest"],
            "env": {"KIND": "plain"},
        }
        await app.pilot.press("enter")
        await app.sees("May the MCP server “good” start? It waits for your answer")
        await app.answers("Start the MCP server “good”?", "3")
        await app.sees("Allowed for good; /tools shows and revokes it.")
        await listed(app)
        await app.sees("good · running")
        assert app.shows("always started in exactly this way")
        assert app.shows("Enter Restart")
        assert not app.shows("Enter Start")
        await app.pilot.press("t")
        await app.sees("an MCP server, running")
        await app.pilot.press("m")
        await listed(app)
        await app.sees("good · running")
        before = app.screen.session.messages
        shown = app.app.screen
        await app.pilot.press("enter")  # again, unasked
        await app.until(lambda: app.app.screen is not shown)
        await listed(app)
        await app.sees("good · running")
        await app.pilot.press("r")
        await app.until(lambda: not app.shows("always started"))
        await app.pilot.press("enter")
        await app.answers("Start the MCP server “good”?", "0")
        await app.sees("good · not allowed by you")
        await app.pilot.press("d")
        await app.sees("Press D again: removes “good”")
        await app.pilot.press("d")
        await app.sees("There is no MCP server yet.")
        assert json.loads((tmp_path / "mcp.json").read_text("utf-8"))["mcpServers"] == {}
        await app.pilot.press("escape")
        await app.until(lambda: app.app.screen is app.screen)
        assert app.screen.session.messages == before


async def test_a_server_that_cannot_be_added_stays_in_the_form(tmp_path: Path) -> None:
    async with app_with_real_servers(tmp_path) as app:
        await app.say("/mcp")
        await listed(app)
        await add(app, "good", "'open")
        await app.sees("can't be divided into words")
        await app.pilot.press("escape")
        await listed(app)
        await add(app, "good", "server", "API_KEY=abcdef")
        await app.sees("API_KEY")
        assert isinstance(app.app.screen, AddServerScreen)
        assert not (tmp_path / "mcp.json").exists()


async def test_a_server_that_is_down_says_why_and_shows_its_log(tmp_path: Path) -> None:
    entry = {"command": sys.executable, "args": ["-c", "import sys; sys.exit('no_[b]luck')"]}
    missing = {"command": "no-such-server-program"}
    (tmp_path / "mcp.json").write_text(
        json.dumps({"mcpServers": {"down": entry, "absent": missing}}), "utf-8"
    )
    async with app_with_real_servers(tmp_path) as app:
        await app.say("/mcp")
        await app.sees("down · not running")
        assert app.shows("absent · can't be used as its file describes it")
        assert app.shows("no-such-server-program")
        await app.pilot.press("enter")
        await app.answers("Start the MCP server “down”?", "1")
        await listed(app)
        await app.sees("down · failed")
        await app.sees("no_[b]luck")
        await app.pilot.press("l")
        await app.until(lambda: isinstance(app.app.screen, ServerLogScreen))
        assert app.shows("no_[b]luck")
        await app.pilot.press("escape")
        await listed(app)


async def test_tools_and_servers_lead_to_each_other(tmp_path: Path) -> None:
    async with app_with_real_servers(tmp_path) as app:
        await app.say("/tools")
        await app.sees("Tools of this chat")
        await app.pilot.press("space", "m")
        await listed(app)
        assert app.session.chat_options.tools == ("now",)
        await app.pilot.press("t")
        await app.sees("✓ now")


async def test_servers_of_another_file_are_not_removed(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"mcpServers": {"theirs": {"command": sys.executable}}}), "utf-8")
    permissions, pins = PermissionFile(tmp_path / "permissions.json"), PinFile(tmp_path / "pins.json")
    administration = ServerAdministration(
        tmp_path / "mcp.json",
        tmp_path,
        tmp_path,
        permissions,
        pins,
        os.environ,
        partial(load_servers, tmp_path / "mcp.json", other),
    )
    (server,) = administration.read()
    assert not server.is_ours
    screen = McpServersScreen((server,), administration)
    async with open_app(tmp_path, FakeEngine(), SIZE) as app:
        app.app.push_screen(screen)
        await app.sees("from another program's file")
        await app.pilot.press("d", "d")
        assert screen.check_action("remove", ()) is False
    assert "theirs" in other.read_text("utf-8")


async def test_enter_in_the_last_field_writes_the_server_down(tmp_path: Path) -> None:
    async with app_with_real_servers(tmp_path) as app:
        await app.say("/mcp")
        await listed(app)
        await app.pilot.press("a")
        await app.until(lambda: isinstance(app.app.screen, AddServerScreen))
        await app.pilot.press(*"good", "enter", *"server", "enter")
        assert not (tmp_path / "mcp.json").exists()
        await app.pilot.press("enter")
        await app.sees("good · can")
        assert "good" in json.loads((tmp_path / "mcp.json").read_text("utf-8"))["mcpServers"]


async def test_keys_pressed_while_a_server_starts_stay_out_of_the_input(tmp_path: Path) -> None:
    script = made_up_mcp_server.__file__
    entry = {"command": sys.executable, "args": ["-S", script, "OldAndHonest"], "env": {"KIND": "plain"}}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"good": entry}}), "utf-8")
    async with app_with_real_servers(tmp_path) as app:
        await app.say("/mcp")
        await listed(app)
        await app.pilot.press("enter")
        await app.sees("Start the MCP server “good”?")
        await app.pilot.press("t", "backspace", "x")
        await app.answers("Start the MCP server “good”?", "1")
        await app.pilot.press("z", "x")
        await listed(app)
        await app.pilot.press("t")
        await app.sees("Tools of this chat")
        await app.pilot.press("m", "z", "z")  # between the dialogs, too
        await listed(app)
        await app.pilot.press("escape")
        await app.until(lambda: app.app.screen is app.screen)
        assert app.screen.input.text == ""
        await app.pilot.press("o", "k")
        await app.until(lambda: app.screen.input.text == "ok")


async def test_the_tools_open_at_the_server_they_were_asked_for(tmp_path: Path) -> None:
    entry = {"command": "server"}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"first": entry, "second": entry}}), "utf-8")
    async with app_with_real_servers(tmp_path) as app:
        await app.say("/mcp")
        await listed(app)
        await app.pilot.press("down", "t")
        await app.sees("Tools of this chat")
        await app.pilot.press("space", "escape")
        await app.until(lambda: app.session.chat_options.tools == ("mcp:second",))
