from __future__ import annotations

from textual.command import CommandPalette

from qwen3_chat.texts import Language, set_language
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
