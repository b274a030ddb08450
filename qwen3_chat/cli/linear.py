"""The chat in plain lines, where the terminal's user asked for that: `ACCESSIBLE=1`."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from qwen3_chat.cli.build import open_runtime
from qwen3_chat.cli.interrupts import interrupts_stop
from qwen3_chat.cli.options import ModelChoice
from qwen3_chat.config import load_settings, paths_from
from qwen3_chat.linear.conversation import Conversation
from qwen3_chat.linear.narrator import Narrator
from qwen3_chat.plain import plain

OFF = ("", "0", "false", "no")


def wants_lines(environ: Mapping[str, str]) -> bool:
    """Tell whether the user asked for plain lines, by the variable that other tools heed as well."""
    return environ.get("ACCESSIBLE", "").lower() not in OFF


def run_linear(choice: ModelChoice, chat: str | None) -> int:
    """Talk in lines until the user leaves; return the exit status.

    Raises:
        Qwen3ChatError: the conversation could not begin.
    """
    return asyncio.run(_run(choice, chat))


async def _run(choice: ModelChoice, chat: str | None) -> int:
    from qwen3_chat.export import ThinkingStyle, export_to_folder

    paths = paths_from()
    loaded = load_settings(paths.settings_file)
    settings = loaded.settings
    narrator = Narrator(_write, time.monotonic, settings.thinking_display != "closed")
    for problem in loaded.problems:
        narrator.say(plain(str(problem)))
    async with open_runtime(choice, settings, paths, chat) as runtime:
        session = runtime.session
        folder = settings.exports or paths.exports
        thinking = ThinkingStyle(settings.export_thinking)

        def export() -> Path | None:
            if session.chat is None:
                return None
            return export_to_folder(session.chat, session.messages, folder, thinking)

        await Conversation(session, runtime.store, narrator, _ask, interrupts_stop, export).run()
    return 0


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _ask(prompt: str) -> str | None:
    """Read a line in the foreground: no other line may come between prompt and answer."""
    # asyncio's own handler would only cancel a task, which can't run while a line is read.
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return input(prompt)
    except (EOFError, KeyboardInterrupt):
        _write("\n")
        return None
    finally:
        signal.signal(signal.SIGINT, earlier)
