from __future__ import annotations

import pytest
from textual.events import MouseDown, MouseMove, MouseUp

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.events import AnswerDelta
from qwen3_chat.ui.screens.chat_options_screen import ChatOptionsScreen
from qwen3_chat.ui.screens.help_screen import HelpScreen
from qwen3_chat.ui.widgets.key_bar import KeyBar
from tests.fakes import FakeEngine, finished
from tests.harness import Harness, Start


async def click_on(app: Harness, text: str) -> None:
    """Click on a text where it is on the screen."""
    row = next(number for number, row in enumerate(app.rows()) if text in row)
    await app.pilot.click(offset=(app.rows()[row].index(text) + 1, row))


async def test_the_keys_at_the_bottom_can_be_clicked(start: Start) -> None:
    async with start() as app:
        await click_on(app, "F1 Help")
        await app.until(lambda: isinstance(app.app.screen, HelpScreen))
        bar = app.app.screen.query_one(KeyBar)
        await app.pilot.click(bar, offset=(2, 0))
        await app.until(lambda: app.app.screen is app.screen)


async def test_the_mode_in_the_status_line_can_be_clicked(start: Start) -> None:
    async with start() as app:
        await click_on(app, "◆ Thinking on")
        await app.until(lambda: app.session.mode is ThinkingMode.NO_THINK)
        await click_on(app, "◇ Thinking off")
        await app.until(lambda: app.session.mode is ThinkingMode.THINK)


@pytest.mark.parametrize("key", ["f1", "f12", "ctrl+r"])
async def test_a_click_beside_a_dialog_closes_it(start: Start, key: str) -> None:
    async with start(size=(120, 40)) as app:
        await app.pilot.press(key)
        await app.until(lambda: app.app.screen is not app.screen)
        bar = app.app.screen.query_one(KeyBar)
        await app.pilot.click(bar, offset=(bar.size.width - 1, 0))
        await app.pilot.pause()
        assert app.app.screen is not app.screen
        await app.pilot.click(offset=(0, 0))
        await app.until(lambda: app.app.screen is app.screen)


async def test_a_click_beside_what_was_typed_discards_nothing(start: Start) -> None:
    async with start(size=(120, 40)) as app:
        await app.pilot.press("ctrl+l", *"Be brief")
        await app.until(lambda: isinstance(app.app.screen, ChatOptionsScreen))
        await app.pilot.click(offset=(0, 0))
        await app.pilot.pause()
        assert isinstance(app.app.screen, ChatOptionsScreen)


async def test_a_selection_by_mouse_says_which_key_copies_it(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []
    async with start(FakeEngine([AnswerDelta("Some words to select"), finished()])) as app:
        monkeypatch.setattr(app.app, "copy_to_clipboard", copied.append)
        await app.turn("Hello")
        row = next(number for number, row in enumerate(app.rows()) if "Some words" in row)
        column = app.rows()[row].index("words")
        for kind, x in ((MouseDown, column), (MouseMove, column + 4), (MouseUp, column + 4)):
            app.app.post_message(kind(None, x, row, 0, 0, 1, False, False, False, x, row))
            await app.pilot.pause()
        await app.sees("Ctrl+C copies the selection.")
        await app.pilot.press("ctrl+c")
        assert copied == ["words"]
