"""Keys that arrive together act in the order in which they were pressed."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

from textual import events

from qwen3_chat.documents.chat_files import ChatFile
from qwen3_chat.events import AnswerDelta
from qwen3_chat.session.turn_options import overrides
from qwen3_chat.ui.screens.chat_files_screen import ChatFilesScreen
from qwen3_chat.ui.screens.chat_options_screen import ChatOptionsScreen
from qwen3_chat.ui.textual_compat import key_of_character
from tests.fakes import FakeEngine, finished
from tests.harness import Harness, open_app

ANSWER = (AnswerDelta("Yes.", 2), finished())


def burst(app: Harness, *keys: str) -> None:
    """Have keys arrive at once, as over a slow connection."""
    for key in keys:
        typed = key if len(key) == 1 else None
        app.app.post_message(events.Key(key_of_character(typed) if typed else key, typed))


async def test_down_and_space_choose_the_second_tool(tmp_path: Path) -> None:
    async with open_app(tmp_path, FakeEngine(), size=(120, 40)) as app:
        await app.say("/tools")
        await app.sees("Tools of this chat")
        burst(app, "space", "down", "space", "down", "down", "space", "escape")
        await app.until(lambda: app.session.tool_names == ("now", "calculator", "read_file"))


async def test_down_and_enter_attach_the_second_file(tmp_path: Path) -> None:
    async with open_app(tmp_path, FakeEngine()) as app:
        chosen = list[Path | None]()
        files = [ChatFile(name, tmp_path / name, 1, 0.0, False) for name in ("a.csv", "b.csv", "c.csv")]
        app.app.push_screen(ChatFilesScreen(files), chosen.append)
        await app.sees("c.csv")
        burst(app, "down", "down", "enter")
        await app.until(lambda: chosen == [tmp_path / "c.csv"])


async def test_down_and_delete_delete_the_second_chat(tmp_path: Path) -> None:
    async with open_app(tmp_path, FakeEngine(ANSWER, ANSWER)) as app:
        await app.turn("First question")
        await app.pilot.press("ctrl+n")
        await app.turn("Second question")
        await app.pilot.press("ctrl+r")
        await app.sees("First question")
        burst(app, "down", "ctrl+d")

        async def titles() -> list[str]:
            return [chat.title for chat in await app.store.chats()]

        for _ in range(500):
            if len(await titles()) == 1:
                break
            await app.pilot.pause(0.01)
        assert await titles() == ["Second question"]


async def test_the_whole_of_a_typed_value_is_saved(tmp_path: Path) -> None:
    async with open_app(tmp_path, FakeEngine(), size=(120, 40)) as app:
        await app.pilot.press("ctrl+l")
        await app.until(lambda: isinstance(app.app.screen, ChatOptionsScreen))
        burst(app, "tab", "0", ".", "5", "ctrl+s")
        await app.until(lambda: app.app.screen is app.screen)
        await app.until(lambda: overrides(app.session.chat_options) == {"temperature": 0.5})


async def test_a_widget_that_hangs_takes_no_key_away(tmp_path: Path) -> None:
    async with open_app(tmp_path, FakeEngine()) as app:
        app.app._on_way[-1] = monotonic()
        await app.pilot.press("ctrl+r")
        await app.sees("Chats")
