"""Runs the terminal application."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from functools import partial

from qwen3_chat.cli.build import open_runtime
from qwen3_chat.cli.engine_notices import EngineNotices
from qwen3_chat.cli.model_desk import make_desk
from qwen3_chat.cli.options import ModelChoice
from qwen3_chat.cli.server_rows import load_profiles
from qwen3_chat.config import load_settings, paths_from
from qwen3_chat.config.kept import KeptSettings
from qwen3_chat.errors import UsageError
from qwen3_chat.session.drafts import Drafts
from qwen3_chat.ui.app import ChatApp
from qwen3_chat.ui.keymap import keymap_of
from qwen3_chat.ui.screens.chat import ChatScreen
from qwen3_chat.ui.themes import load_themes

NOTICE_S = 8


def run_app(choice: ModelChoice, chat: str | None) -> int:
    """Open the application and stay until the user leaves; return its exit status.

    Raises:
        Qwen3ChatError: it could not be opened.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("cli.no_terminal")
    return asyncio.run(_run(choice, chat))


async def _run(choice: ModelChoice, chat: str | None) -> int:
    paths = paths_from()
    loaded = load_settings(paths.settings_file)
    settings = loaded.settings
    themes = load_themes(paths.themes)
    keymap = keymap_of(loaded)
    servers = load_profiles(paths.settings_file).problems.values()
    async with open_runtime(choice, settings, paths, chat) as runtime:
        notices = EngineNotices()
        notices.of(runtime.engine)
        desk = make_desk(runtime.session, choice, settings, paths)
        screen = ChatScreen(
            runtime.session,
            runtime.store,
            Drafts(runtime.store, paths.draft),
            paths.models,
            settings.exports or paths.exports,
            settings,
            replace(desk, make_engine=lambda wanted: notices.of(desk.make_engine(wanted))),
        )
        screen.prompts_file = paths.config / "prompts.toml"
        app = ChatApp(
            screen,
            themes.themes,
            KeptSettings(settings, paths.settings_file),
            keymap,
            paths.data / "copied.txt",
            [str(problem) for problem in (*loaded.problems, *keymap.problems, *themes.problems, *servers)],
        )
        notices.show = lambda text: app.call_later(partial(app.notify, text, timeout=NOTICE_S))
        loop = asyncio.get_running_loop()
        for name in ("SIGTERM", "SIGHUP"):
            with suppress(NotImplementedError, AttributeError):
                loop.add_signal_handler(
                    getattr(signal, name), lambda: asyncio.ensure_future(app.action_quit())
                )
        await app.run_async()
        return app.return_code or 0
