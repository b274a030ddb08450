"""Keys that come while a screen opens or closes, while the app ends, or on the smallest terminal."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from textual import events
from textual.command import CommandPalette

from attacks.actions import press
from qwen3_chat.chat import Role
from qwen3_chat.ui.screens.chat_options_screen import ChatOptionsScreen
from qwen3_chat.ui.screens.chat_screen import ChatScreen
from qwen3_chat.ui.screens.settings_screen import SettingsScreen
from tests.fakes import FakeEngine
from tests.harness import Harness, Start, open_app
from tests.models.picker.picker_fixture import PickerFixture


async def press_at_once(app: Harness, *keys: str) -> None:
    """Press keys so quickly that no screen can react between them."""
    for key in keys:
        await press(app, key, 0)


OPENERS = ("ctrl+l", "f7", "f12", "ctrl+r", "ctrl+b", "f1", "ctrl+p")


THEN = ("escape", "x")
MORE = ("enter", "ctrl+l", "down", "f5", "ctrl+d", "ctrl+p", "f7")


@pytest.mark.parametrize("keys", [THEN, pytest.param(MORE, marks=pytest.mark.full)])
async def test_a_key_right_after_the_one_that_opens_a_screen_ends_nothing(
    tmp_path: Path, keys: tuple[str, ...]
) -> None:
    async with open_app(tmp_path, FakeEngine(), model_picker=PickerFixture(tmp_path).model_picker()) as app:
        for opener, then in product(OPENERS, keys):
            await press_at_once(app, opener, then, "escape", "escape", then, "escape")
            await app.pilot.pause()
        for _ in range(4):
            await app.pilot.press("escape")
        await app.until(lambda: isinstance(app.app.screen, ChatScreen))


@pytest.mark.parametrize(
    "keys", [("escape", "escape"), ("escape", "f12", "escape"), ("f12", "escape", "escape")]
)
async def test_the_palette_closes_once_and_only_itself(start: Start, keys: tuple[str, ...]) -> None:
    async with start() as app:
        await app.pilot.press("f12", "ctrl+p")
        assert isinstance(app.app.screen, CommandPalette)
        await press_at_once(app, *keys)
        await app.until(lambda: not isinstance(app.app.screen, CommandPalette))
        await app.pilot.pause()
        assert app.app.screen_stack[0] is app.screen
        await press_at_once(app, "escape", "escape", "escape")
        await app.until(lambda: app.app.screen is app.screen)


async def test_two_quick_presses_open_one_dialog_whose_result_counts(start: Start) -> None:
    async with start(size=(110, 40)) as app:
        await press_at_once(app, "ctrl+l", "ctrl+l")
        await app.until(lambda: any(isinstance(screen, ChatOptionsScreen) for screen in app.app.screen_stack))
        while not isinstance(app.app.screen, ChatOptionsScreen):
            await app.pilot.press("escape")
        await app.until(lambda: app.app.focused)
        await app.pilot.press(*"Rhyme", "ctrl+s")
        await app.until(lambda: app.session.system == "Rhyme")
        assert len(app.app.screen_stack) == 1


SIZES = (
    (2, 40),
    *(pytest.param(size, marks=pytest.mark.full) for size in ((1, 1), (4, 47), (9, 3), (46, 1), (16, 2))),
)


@pytest.mark.parametrize("size", SIZES)
async def test_no_size_of_the_terminal_ends_the_app(tmp_path: Path, size: tuple[int, int]) -> None:
    async with open_app(tmp_path, FakeEngine(), model_picker=PickerFixture(tmp_path).model_picker()) as app:
        await app.turn("天气 ```py\nx\n```")
        for opener in (*OPENERS, "up"):
            await app.pilot.press(opener)
            await app.pilot.resize_terminal(*size)
            await app.pilot.press("天", "down", "ctrl+b", "escape", "escape", "escape")
            await app.pilot.resize_terminal(80, 24)
        assert app.app.is_running


async def test_keys_that_come_while_the_app_ends_are_dropped(start: Start) -> None:
    async with start() as app:
        await app.turn("One")
        await press_at_once(app, "ctrl+q", "ctrl+q", "ctrl+n", "T", "enter", "f1", "ctrl+q")
        app.app.post_message(events.Paste("text"))
        await app.until(lambda: not app.app.is_running)
        assert app.app.return_code == 0
        assert [chat.message_count for chat in await app.store.chats()] == [2]


async def test_what_is_typed_right_before_the_app_ends_is_in_the_draft(start: Start) -> None:
    async with start() as app:
        await press_at_once(app, *"abc", "ctrl+q")
        await app.until(lambda: not app.app.is_running)
    async with start() as app:
        await app.until(lambda: app.screen.input.text == "abc")


async def test_what_is_sent_right_before_the_app_ends_is_stored(start: Start) -> None:
    async with start() as app:
        await press_at_once(app, *"abc", "enter", "ctrl+q")
        await app.until(lambda: not app.app.is_running)
        (chat,) = await app.store.chats()
        branch = await app.store.branch(chat.id)
        assert [stored.message.content for stored in branch if stored.message.role is Role.USER] == ["abc"]


async def test_the_settings_open_once(start: Start) -> None:
    async with start() as app:
        await press_at_once(app, "f12", "f12", "f12")
        await app.pilot.pause()
        assert sum(isinstance(screen, SettingsScreen) for screen in app.app.screen_stack) <= 1
