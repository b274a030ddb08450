"""The terminal application, wired up and run until the user leaves."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import textual

from qwen3_chat.cli.composition import (
    Runtime,
    make_model_picker,
    make_tool_catalogue,
    make_tool_runner,
    open_chat_runtime,
    open_interface_log,
    tool_settings,
)
from qwen3_chat.cli.named_servers import load_server_profiles
from qwen3_chat.cli.shared_options import NO_TOOL_OPTIONS, ModelChoice, ToolOptions
from qwen3_chat.cli.standard_streams import is_interactive
from qwen3_chat.config import Paths, Settings, find_paths, read_settings
from qwen3_chat.config.settings_store import SettingsStore
from qwen3_chat.engine import Engine
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.events import Notice
from qwen3_chat.highlighting.highlighter import Highlighter
from qwen3_chat.record_copies import replace
from qwen3_chat.session.draft_store import DraftStore
from qwen3_chat.texts import t
from qwen3_chat.tools.allowed_folders import AllowedFolders
from qwen3_chat.ui.app import ChatApp
from qwen3_chat.ui.browser import browser_keymap
from qwen3_chat.ui.keymap import keymap_from_settings
from qwen3_chat.ui.screens.chat_screen import ChatScreen
from qwen3_chat.ui.themes import load_themes

if TYPE_CHECKING:
    from qwen3_chat.models.picker import ModelPicker
    from qwen3_chat.session import EngineFactory

NOTICE_DURATION_S = 8


class EngineNotices:
    """The notices of local engines, shown through `show`, which the app sets once it exists."""

    def __init__(self) -> None:
        self.show: Callable[[str], object] = lambda text: None

    def subscribe(self, engine: Engine) -> Engine:
        """Receive an engine's notices from now on; return the engine."""
        if isinstance(engine, LocalEngine):
            engine.on_notice = self._show_notice
        return engine

    def _show_notice(self, notice: Notice) -> None:
        self.show(t(notice.key, **notice.values))


def run_app(
    choice: ModelChoice, chat: str | None, tools: ToolOptions = NO_TOOL_OPTIONS, *, in_browser: bool = False
) -> int:
    """Run the application until the user leaves; return its exit status.

    Raises:
        Qwen3ChatError: it could not be opened.
    """
    if not in_browser and not is_interactive():
        raise UsageError(ErrorCode.TERMINAL_MISSING)
    return asyncio.run(_run(choice, chat, tools, in_browser=in_browser))


async def _run(choice: ModelChoice, chat: str | None, tools: ToolOptions, *, in_browser: bool) -> int:
    paths = find_paths()
    loaded = read_settings(paths.settings_file)
    settings = loaded.settings
    themes = load_themes(paths.themes)
    keymap = keymap_from_settings(loaded)
    if in_browser:
        keymap = browser_keymap(keymap, loaded.settings.keys)
    server_problems = load_server_profiles(paths.settings_file).problems.values()
    async with (
        open_interface_log(paths, f"textual {_textual_version()}") as interface_log,
        open_chat_runtime(choice, settings, paths, chat, tools) as runtime,
        Highlighter(paths.interface_log_file) as highlighter,
    ):
        notices = EngineNotices()
        notices.subscribe(runtime.engine)

        settings_store = SettingsStore(settings, paths.settings_file)

        def make_picker() -> ModelPicker:
            picker = make_model_picker(runtime.session, choice, settings_store, paths)
            return replace(picker, make_engine=_with_notices(picker.make_engine, notices))

        screen = _make_screen(runtime, make_picker, settings, paths, highlighter)
        if in_browser:
            readable = tool_settings(settings, paths)
            screen.writing.allowed_folders = AllowedFolders(readable.folders, readable.private_paths)
        runtime.session.set_tool_runner(make_tool_runner(paths, ask=screen.consent.ask))
        runtime.mcp.set_trust(screen.consent.ask, fill=screen.consent.fill_form)
        app = ChatApp(
            screen,
            themes.themes,
            settings_store,
            keymap,
            paths.data / "copied.txt",
            [
                str(problem)
                for problem in (*loaded.problems, *keymap.problems, *themes.problems, *server_problems)
            ],
            interface_log,
            in_browser=in_browser,
        )
        notices.show = lambda text: app.call_later(partial(app.notify, text, timeout=NOTICE_DURATION_S))
        _quit_on_signals(app)
        await app.run_async()
        if app.farewell:
            print(app.farewell, file=sys.stderr)
        return app.return_code or 0


def _textual_version() -> str:
    """Return Textual's version by the name of its folder, at a fraction of the time that asking it takes."""
    packages = Path(textual.__file__).parents[1]
    folder = next(packages.glob("textual-[0-9]*.dist-info"), None)
    return textual.__version__ if folder is None else folder.stem.partition("-")[2]


def _with_notices(make_engine: EngineFactory, notices: EngineNotices) -> EngineFactory:
    return lambda choice: notices.subscribe(make_engine(choice))


def _make_screen(
    runtime: Runtime,
    make_picker: Callable[[], ModelPicker],
    settings: Settings,
    paths: Paths,
    highlighter: Highlighter,
) -> ChatScreen:
    return ChatScreen(
        runtime.session,
        runtime.store,
        DraftStore(runtime.store, paths.draft_file),
        paths.models,
        settings.export_dir or paths.exports,
        settings,
        make_picker,
        paths.config / "prompts.toml",
        highlighter,
        runtime.mcp,
        partial(make_tool_catalogue, settings, paths, runtime.mcp),
    )


def _quit_on_signals(app: ChatApp) -> None:
    """Quit as the user would when the system ends the process or the terminal closes."""
    loop = asyncio.get_running_loop()
    for name in ("SIGTERM", "SIGHUP"):
        with suppress(NotImplementedError, AttributeError):  # Windows has neither
            loop.add_signal_handler(getattr(signal, name), lambda: asyncio.ensure_future(app.leave()))
