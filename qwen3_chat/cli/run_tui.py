"""The terminal application, wired up and run until the user leaves."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from qwen3_chat.cli.composition import make_model_picker, open_runtime
from qwen3_chat.cli.named_servers import load_server_profiles
from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.config import find_paths, read_settings
from qwen3_chat.config.settings_store import SettingsStore
from qwen3_chat.engine import Engine
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.errors import UsageError
from qwen3_chat.events import Notice
from qwen3_chat.session.draft_store import DraftStore
from qwen3_chat.texts import t
from qwen3_chat.ui.app import ChatApp
from qwen3_chat.ui.keymap import keymap_from_settings
from qwen3_chat.ui.screens.chat_screen import ChatScreen
from qwen3_chat.ui.themes import load_themes


class EngineNotices:
    """Hears engines; until there is something to `show` a text with, nothing is shown."""

    def __init__(self) -> None:
        self.show: Callable[[str], object] = lambda text: None

    def subscribe(self, engine: Engine) -> Engine:
        """Hear an engine from now on; return it."""
        if isinstance(engine, LocalEngine):
            engine.on_notice = self._show_notice
        return engine

    def _show_notice(self, notice: Notice) -> None:
        self.show(t(notice.key, **notice.values))


NOTICE_DURATION_S = 8


def run_app(choice: ModelChoice, chat: str | None) -> int:
    """Open the application and stay until the user leaves; return its exit status.

    Raises:
        Qwen3ChatError: it could not be opened.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("cli.no_terminal")
    return asyncio.run(_run(choice, chat))


async def _run(choice: ModelChoice, chat: str | None) -> int:
    paths = find_paths()
    loaded = read_settings(paths.settings_file)
    settings = loaded.settings
    themes = load_themes(paths.themes)
    keymap = keymap_from_settings(loaded)
    servers = load_server_profiles(paths.settings_file).problems.values()
    async with open_runtime(choice, settings, paths, chat) as runtime:
        notices = EngineNotices()
        notices.subscribe(runtime.engine)
        desk = make_model_picker(runtime.session, choice, settings, paths)
        screen = ChatScreen(
            runtime.session,
            runtime.store,
            DraftStore(runtime.store, paths.draft_file),
            paths.models,
            settings.export_dir or paths.exports,
            settings,
            replace(desk, make_engine=lambda wanted: notices.subscribe(desk.make_engine(wanted))),
        )
        screen.prompts_file = paths.config / "prompts.toml"
        app = ChatApp(
            screen,
            themes.themes,
            SettingsStore(settings, paths.settings_file),
            keymap,
            paths.data / "copied.txt",
            [str(problem) for problem in (*loaded.problems, *keymap.problems, *themes.problems, *servers)],
        )
        notices.show = lambda text: app.call_later(partial(app.notify, text, timeout=NOTICE_DURATION_S))
        loop = asyncio.get_running_loop()
        for name in ("SIGTERM", "SIGHUP"):
            with suppress(NotImplementedError, AttributeError):
                loop.add_signal_handler(
                    getattr(signal, name), lambda: asyncio.ensure_future(app.action_quit())
                )
        await app.run_async()
        return app.return_code or 0
