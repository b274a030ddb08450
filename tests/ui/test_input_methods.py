from __future__ import annotations

import pytest
from textual._xterm_parser import XTermParser

from qwen3_chat.ui.external_editor import editor_command
from tests.fakes import FakeEngine
from tests.harness import Start


@pytest.mark.parametrize(
    ("sequence", "text"),
    [
        ("\x1b[0;1;20013:25991u", "中文"),
        ("\x1b[0;;20320u", "你"),
        ("\x1b[0;1;128105:8205:128105u", "👩‍👩"),
        ("你好", "你好"),
    ],
)
async def test_what_an_input_method_commits_is_typed_whole(start: Start, sequence: str, text: str) -> None:
    async with start() as app:
        for event in XTermParser().feed(sequence):
            app.app.post_message(event)
        await app.until(lambda: app.screen.input.text == text)


@pytest.mark.parametrize("sequence", ["\x1b\r", "\x1b\n", "\x1b[13;3u", "\x1b[13;2u", "\x1b[13;5u", "\n"])
async def test_enter_with_alt_shift_or_ctrl_begins_a_new_line_and_sends_nothing(
    start: Start, sequence: str
) -> None:
    async with start() as app:
        for event in XTermParser().feed(f"a{sequence}b"):
            app.app.post_message(event)
        await app.until(lambda: app.screen.input.text == "a\nb")
        assert not app.session.messages


async def test_the_terminals_cursor_is_at_the_caret_whatever_moves_it(start: Start) -> None:
    async with start() as app:
        chat_input = app.screen.input

        def is_there() -> bool:
            return app.app.cursor_position == chat_input.cursor_screen_offset

        await app.pilot.press(*"你好", "ctrl+j", "ctrl+j", "ctrl+j", "a")
        await app.until(is_there)
        await app.pilot.resize_terminal(60, 30)
        await app.until(lambda: app.app.size.width == 60 and is_there())
        await app.pilot.press("/", "backspace")
        await app.until(is_there)


async def test_the_history_goes_on_to_other_chats(start: Start) -> None:
    async with start(FakeEngine()) as app:
        await app.turn("in the first chat")
        await app.pilot.press("ctrl+n")
        await app.until(lambda: not app.session.messages)
        await app.turn("in the second")
        await app.pilot.press("up")
        assert app.screen.input.text == "in the second"
        await app.pilot.press("up")
        assert app.screen.input.text == "in the first chat"
        await app.pilot.press("down", "down")
        assert app.screen.input.text == ""


@pytest.mark.parametrize(
    ("environ", "command"),
    [
        ({"VISUAL": "code --wait", "EDITOR": "vi"}, ["code", "--wait"]),
        ({"VISUAL": "", "EDITOR": "'/my tools/ed' -x"}, ["/my tools/ed", "-x"]),
        ({"PATH": "/nowhere"}, []),
    ],
)
def test_the_editor_is_the_users(environ: dict[str, str], command: list[str]) -> None:
    assert editor_command(environ) == command
