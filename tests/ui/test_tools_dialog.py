"""The dialog with all tools: chosen for the chat, their cost and their permissions in sight."""

from __future__ import annotations

from pathlib import Path

from qwen3_chat.session import TurnOptions
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.tools.permissions import Permission, PermissionScope
from qwen3_chat.ui.screens.tools_screen import ToolsScreen
from tests.fakes import FakeEngine
from tests.harness import Harness, open_app


async def open_tools(app: Harness) -> ToolsScreen:
    await app.say("/tools")
    await app.sees("Tools of this chat")
    screen = app.app.screen
    assert isinstance(screen, ToolsScreen)
    return screen


async def test_chosen_tools_are_those_of_the_chat_and_stand_in_the_status_line(tmp_path: Path) -> None:
    async with open_app(tmp_path, FakeEngine(), size=(120, 40)) as app:
        await open_tools(app)
        await app.sees("none chosen")
        await app.pilot.press("space", "down", "enter")
        await app.sees("chosen: 2")
        await app.pilot.press("escape")
        await app.until(lambda: app.session.chat_options.tools == ("now", "calculator"))
        await app.sees("tools 2")
        assert app.session.tools.names == ("now", "calculator")
        await open_tools(app)
        await app.sees("✓ now")
        await app.pilot.press("space", "escape")
        await app.until(lambda: app.session.chat_options.tools == ("calculator",))
        await app.sees("tools 1")


async def test_what_is_chosen_counts_over_the_command_line(tmp_path: Path) -> None:
    options = TurnOptions(tools=("now",))
    async with open_app(tmp_path, FakeEngine(), size=(120, 40), options=options) as app:
        await open_tools(app)
        await app.sees("✓ now")
        await app.pilot.press("space", "escape")
        await app.until(lambda: app.session.tool_names == ())
        assert "tools" not in app.rows()[-2]


async def test_a_click_on_the_status_line_opens_the_list(tmp_path: Path) -> None:
    async with open_app(
        tmp_path, FakeEngine(), size=(120, 40), options=TurnOptions(tools=("now", "calculator"))
    ) as app:
        await app.sees("tools 2")
        row = next(y for y, text in enumerate(app.rows()) if "tools 2" in text)
        await app.pilot.click(offset=(app.rows()[row].index("tools 2") + 1, row))
        await app.sees("Tools of this chat")


async def test_standing_permissions_are_seen_and_revoked(tmp_path: Path) -> None:
    file = PermissionFile(tmp_path / "permissions.json")
    file.add(Permission("gone", "0" * 64, PermissionScope.HOST, "https://example.com"))
    async with open_app(tmp_path, FakeEngine(), size=(120, 40)) as app:
        screen = await open_tools(app)
        screen.options.highlighted = screen.options.option_count - 1
        await app.sees("always allowed on https://example.com")
        await app.pilot.press("r")
        await app.until(lambda: file.read() == ())
        await app.sees("Standing permissions revoked: 1.")
        await app.until(lambda: not app.shows("https://example.com"))
        await app.pilot.press("escape")
        await app.until(lambda: app.app.screen is app.screen)


async def test_a_damaged_file_of_servers_is_told_and_the_rest_listed(tmp_path: Path) -> None:
    (tmp_path / "mcp.json").write_text("{]")
    async with open_app(tmp_path, FakeEngine(), size=(120, 40)) as app:
        await open_tools(app)
        await app.sees("mcp.json")
        await app.sees("calculator")


async def test_allowed_arguments_are_read_with_their_own_characters(tmp_path: Path) -> None:
    file = PermissionFile(tmp_path / "permissions.json")
    file.add(Permission("gone", "0" * 64, PermissionScope.ARGUMENTS, '{"city":"\\u5317\\u4eac\\u001b"}'))
    async with open_app(tmp_path, FakeEngine(), size=(120, 40)) as app:
        screen = await open_tools(app)
        screen.options.highlighted = screen.options.option_count - 1
        await app.sees('always allowed with {"city": "北京\\u001b"}')
