"""The whole application on a terminal of the test's own, with a real store, for tests."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from time import monotonic

import pytest
from textual.pilot import Pilot

from qwen3_chat.config import read_settings
from qwen3_chat.config.settings_store import SettingsStore
from qwen3_chat.engine import Engine
from qwen3_chat.highlighting.highlighter import Highlighter
from qwen3_chat.interface_log import InterfaceLog
from qwen3_chat.mcp.config_file import load_servers
from qwen3_chat.mcp.mcp_tools import McpTools
from qwen3_chat.mcp.server_administration import ServerAdministration
from qwen3_chat.mcp.server_texts import TextSource
from qwen3_chat.mcp.tool_list import ToolCatalogue
from qwen3_chat.mcp.tool_pins import PinFile
from qwen3_chat.models.picker import ModelPicker
from qwen3_chat.record_copies import replace
from qwen3_chat.session import ChatSession, TurnOptions
from qwen3_chat.session.draft_store import DraftStore
from qwen3_chat.store import ChatStore
from qwen3_chat.tools.built_in_tools import Toolbox
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.tools.tool_runner import ToolRunner
from qwen3_chat.tools.tool_settings import ToolSettings
from qwen3_chat.ui.app import ChatApp
from qwen3_chat.ui.keymap import keymap_from_settings
from qwen3_chat.ui.screens.chat_screen import ChatScreen
from qwen3_chat.ui.themes import load_themes
from tests.conftest import WAIT_LIMIT_S


class Harness:
    """The application under test, with its store and its folder of exports."""

    def __init__(
        self,
        pilot: Pilot[None],
        app: ChatApp,
        screen: ChatScreen,
        store: ChatStore,
        exports: Path,
        highlighter: Highlighter,
    ) -> None:
        self.pilot, self.app, self.screen, self.store, self.exports = pilot, app, screen, store, exports
        self.highlighter = highlighter

    @property
    def session(self) -> ChatSession:
        """The session of the chat screen."""
        return self.screen.session

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until a condition holds; fail with the rows of the screen if it never does."""
        try:
            async with asyncio.timeout(WAIT_LIMIT_S):
                while not holds():
                    await self.pilot.pause(0.01)
        except TimeoutError:
            pytest.fail("\n".join(self.rows()))

    async def say(self, text: str) -> None:
        """Type a message and send it."""
        self.screen.input.text = text
        await self.pilot.press("enter")

    async def turn(self, text: str) -> None:
        """Send a message and wait for the end of its turn."""
        replies = len(self.session.messages)
        await self.say(text)
        await self.until(lambda: len(self.session.messages) >= replies + 2 and not self.screen.is_answering)

    async def answers(self, title: str, key: str) -> None:
        """Wait for a question of consent and answer it."""
        await self.sees(title)
        await self.until(lambda: getattr(self.app.screen, "is_armed", False))
        await self.pilot.press(key)

    async def sees(self, text: str) -> None:
        """Wait until a text is on the screen."""
        await self.until(lambda: self.shows(text))

    def rows(self) -> list[str]:
        """Return the text on the screen, row by row."""
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip) for strip in strips]

    def shows(self, text: str) -> bool:
        """Return whether a text is on the screen."""
        return text in "\n".join(self.rows())


Start = Callable[..., AbstractAsyncContextManager[Harness]]


def make_catalogue(folder: Path, get_mcp_tools: Callable[[], McpTools] | None = None) -> ToolCatalogue:
    """Return the list of the tools, with the MCP servers and the permissions of files in a folder."""
    permissions, load = (
        PermissionFile(folder / "permissions.json"),
        partial(load_servers, folder / "mcp.json"),
    )
    pins = folder / "pins.json"
    tools = get_mcp_tools
    administration = ServerAdministration(
        folder / "mcp.json", folder, folder / "tokens", permissions, PinFile(pins), os.environ, load, tools
    )
    return ToolCatalogue(ToolSettings(), permissions, pins, load, administration)


@asynccontextmanager
async def open_app(
    folder: Path,
    engine: Engine,
    size: tuple[int, int] = (80, 24),
    resume: int | None = None,
    options: TurnOptions | None = None,
    model_picker: ModelPicker | None = None,
    titles_chats: bool = False,
    toolbox: Toolbox | None = None,
    texts: TextSource | None = None,
    get_mcp_tools: Callable[[], McpTools] | None = None,
) -> AsyncIterator[Harness]:
    """Open the application over the store in a folder."""
    store = await ChatStore.open(folder / "chats.db")
    session = ChatSession(
        engine, store, draw_seed=lambda: 1, clock=monotonic, options=options, toolbox=toolbox
    )
    if resume is not None:
        await session.resume(resume)
    (folder / "exports").mkdir(exist_ok=True)
    loaded = read_settings(folder / "config.toml")
    screen = ChatScreen(
        session,
        store,
        DraftStore(store, folder / "draft.json"),
        folder / "models",
        folder / "exports",
        replace(loaded.settings, chat_titles=titles_chats),
        None if model_picker is None else lambda: model_picker,
        folder / "prompts.toml",
        highlighter := Highlighter(folder / "logs" / "interface.log"),
        texts,
        lambda: make_catalogue(folder, get_mcp_tools),
    )
    permissions = PermissionFile(folder / "permissions.json")
    clock = count(step=0.4).__next__  # each call takes as long on every machine
    session.set_tool_runner(ToolRunner(ask=screen.consent.ask, clock=clock, permission_file=permissions))
    themes = load_themes(folder / "themes").themes
    settings_store = SettingsStore(loaded.settings, folder / "config.toml")
    keymap = keymap_from_settings(loaded)
    app = ChatApp(
        screen,
        themes,
        settings_store,
        keymap,
        clipboard_file=folder / "copied.txt",
        interface_log=InterfaceLog(folder / "logs" / "interface.log"),
    )
    try:
        async with app.run_test(size=size, notifications=True) as pilot:
            harness = Harness(pilot, app, screen, store, folder / "exports", highlighter)
            await harness.until(lambda: screen.is_mounted)
            yield harness
    finally:
        await highlighter.close()
        await store.close()
