from __future__ import annotations

from textual.command import CommandPalette

from qwen3_chat.texts import Language, speak
from tests.harness import Start


async def test_a_search_in_vain_is_told_in_the_users_language(start: Start) -> None:
    speak(Language.ZH)
    try:
        async with start() as app:
            await app.pilot.press("ctrl+p")
            await app.until(lambda: isinstance(app.app.screen, CommandPalette))
            await app.pilot.press(*"zzzz")
            await app.sees("没有这样的命令")
    finally:
        speak(Language.EN)
