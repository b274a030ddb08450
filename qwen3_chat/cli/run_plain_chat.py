"""The plain chat, wired up and run until the user leaves: `ACCESSIBLE=1`, or `TERM=dumb`."""

from __future__ import annotations

import asyncio
import sys
import time
from functools import partial
from pathlib import Path

from qwen3_chat.cli.composition import (
    make_model_picker,
    make_tool_runner,
    open_chat_runtime,
    open_interface_log,
)
from qwen3_chat.cli.interrupts import run_until_interrupt
from qwen3_chat.cli.shared_options import NO_TOOL_OPTIONS, ModelChoice, ToolOptions
from qwen3_chat.cli.standard_streams import is_interactive, read_line, read_new_line
from qwen3_chat.cli.terminal_lines import terminal_columns
from qwen3_chat.config import find_paths, read_settings
from qwen3_chat.config.settings_store import SettingsStore
from qwen3_chat.documents.export_options import ExportFormat
from qwen3_chat.plain_chat.chat_loop import PlainChat
from qwen3_chat.plain_chat.comparison_lines import ComparisonLines
from qwen3_chat.plain_chat.consent_lines import ConsentLines
from qwen3_chat.plain_chat.form_lines import FormLines
from qwen3_chat.plain_chat.line_renderer import LineRenderer, WordWrap
from qwen3_chat.plain_chat.server_text_lines import ServerTextLines
from qwen3_chat.session import ChatSession
from qwen3_chat.texts.terminal_safe import terminal_safe


def run_plain_chat(choice: ModelChoice, chat: str | None, tools: ToolOptions = NO_TOOL_OPTIONS) -> int:
    """Run the plain chat until the user leaves; return the exit status.

    Raises:
        Qwen3ChatError: the conversation could not begin.
    """
    return asyncio.run(_run(choice, chat, tools))


async def _run(choice: ModelChoice, chat: str | None, tools: ToolOptions) -> int:
    from qwen3_chat.documents.export import export_to_folder
    from qwen3_chat.session.rescue import rescue

    paths = find_paths()
    loaded = read_settings(paths.settings_file)
    settings = loaded.settings
    for problem in loaded.problems:
        _write(terminal_safe(str(problem)) + "\n")
    async with (
        open_interface_log(paths, "plain chat"),
        open_chat_runtime(choice, settings, paths, chat, tools) as runtime,
    ):
        session = runtime.session
        shows_thinking = settings.thinking_display != "closed"
        renderer = LineRenderer(WordWrap(_write, _columns), time.monotonic, shows_thinking, runtime.store)
        forms = FormLines(renderer.write_line, partial(read_new_line, output=sys.stdout))
        if is_interactive():
            consent = ConsentLines(renderer.write_line, partial(read_new_line, output=sys.stdout))
            session.set_tool_runner(make_tool_runner(paths, ask=consent.ask))
            runtime.mcp.set_trust(consent.ask, fill=forms.fill)
        else:  # what is piped in are messages, and none of them answers a question
            session.set_tool_runner(make_tool_runner(paths))
        folder = settings.export_dir or paths.exports

        async def export() -> Path | None:
            if session.chat is None:
                return None
            messages = session.messages
            if settings.export_format is ExportFormat.JSON:
                messages = (await runtime.store.whole_chat(session.chat.id)).messages
            choices = settings.export_thinking, settings.export_format
            return await asyncio.to_thread(export_to_folder, session.chat, messages, folder, *choices)

        try:
            texts = ServerTextLines(runtime.mcp, forms.fill, renderer.write_line)
            comparisons = ComparisonLines(
                session,
                runtime.store,
                lambda: make_model_picker(
                    session, choice, SettingsStore(settings, paths.settings_file), paths
                ),
                renderer.write_line,
                _read_line,
                run_until_interrupt,
            )
            await PlainChat(
                session, runtime.store, renderer, _read_line, run_until_interrupt, export, texts, comparisons
            ).run()
        finally:
            if session.unstored:
                await run_until_interrupt(_store_rest(session))
            if sentence := rescue(session.unstored, folder):
                renderer.write_line(sentence)
    return 0


async def _store_rest(session: ChatSession) -> None:
    await session.store_persistently()


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _columns() -> int:
    """Return the width of the terminal; 0 where the output is none."""
    return terminal_columns() or 0


def _read_line(prompt: str) -> str | None:
    return read_line(prompt, sys.stdout)
