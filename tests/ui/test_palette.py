from __future__ import annotations

import pytest
from textual import events
from textual.command import CommandPalette
from textual.widgets import Input

from qwen3_chat.texts import Language, set_language
from qwen3_chat.ui.textual_compat import MAX_LINE_CHARACTERS
from tests.harness import Start


async def test_a_search_in_vain_is_reported_in_the_users_language(start: Start) -> None:
    set_language(Language.ZH)
    try:
        async with start() as app:
            await app.pilot.press("ctrl+p")
            await app.until(lambda: isinstance(app.app.screen, CommandPalette) and app.app.focused)
            await app.pilot.press(*"zzzz")
            await app.sees("没有这样的命令")
    finally:
        set_language(Language.EN)


async def test_the_palette_offers_what_can_be_done_to_the_marked_message(start: Start) -> None:
    async with start(size=(100, 40)) as app:
        await app.turn("One")
        await app.pilot.press("ctrl+up", "ctrl+p")
        await app.until(lambda: isinstance(app.app.screen, CommandPalette))
        await app.pilot.press(*"quote")
        await app.sees("Marked message: quote it")
        await app.pilot.press("down", "enter")
        await app.until(lambda: app.screen.input.text.startswith("> It is 3."))
        await app.pilot.press("ctrl+p", *"quote")
        await app.until(lambda: isinstance(app.app.screen, CommandPalette))
        await app.sees("No such command.")


@pytest.mark.parametrize("opener", ["ctrl+p", "ctrl+r"])
async def test_a_line_to_search_with_takes_no_paste_that_it_can_not_measure(
    start: Start, opener: str
) -> None:
    async with start(size=(100, 30)) as app:
        await app.pilot.press(opener)
        await app.until(lambda: isinstance(app.app.focused, Input))
        line = app.app.focused
        assert isinstance(line, Input)
        app.app.post_message(events.Paste("x" * (MAX_LINE_CHARACTERS + 1)))
        app.app.post_message(events.Paste("short"))
        await app.until(lambda: line.value)
        assert line.value == "short"


async def test_in_chinese_the_palette_keeps_its_order_and_knows_pinyin(start: Start) -> None:
    set_language(Language.ZH)
    try:
        async with start(size=(100, 40)) as app:
            await app.pilot.press("ctrl+p")
            await app.until(lambda: isinstance(app.app.screen, CommandPalette) and app.app.focused)
            await app.sees("开启或关闭思考")
            rows = "\n".join(app.rows())
            assert rows.index("Ctrl+T") < rows.index("Ctrl+O") < rows.index("Ctrl+N")
            await app.pilot.press(*"xdh")
            await app.sees("开始新对话")
    finally:
        set_language(Language.EN)


@pytest.mark.parametrize("typed", ["tool", "revoke", "permission"])
async def test_the_tools_are_found_first_by_what_they_are_wanted_for(start: Start, typed: str) -> None:
    async with start(size=(100, 40)) as app:
        await app.pilot.press("ctrl+p", *typed)
        await app.sees("Choose the tools that this chat offers to the model · /tools")
        await app.pilot.press("enter")
        await app.sees("Tools of this chat")


async def test_the_help_names_the_command_of_an_action_without_a_key(start: Start) -> None:
    async with start(size=(100, 60)) as app:
        await app.pilot.press("f1")
        await app.sees("/tools              Choose the tools")
        await app.sees("/mcp                List the MCP servers")
