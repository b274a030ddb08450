"""What widgets draw, as it leaves for the terminal: no text of anybody steers it."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
import rich.cells
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual._compositor import LayoutUpdate
from textual.app import App, ComposeResult
from textual.strip import Strip
from textual.widgets import Input, OptionList, Static, TextArea

from qwen3_chat.ui.textual_compat.terminal_output import install_output_gate
from tests.fakes import FakeEngine
from tests.harness import open_app

HOSTILE = "\x1b]52;c;QUJD\x07\x9b31m\x85\x7f\u202etxt\u2066\u2028\ud800\x00\x08"
_STEERING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]"
)
_COLOURS_AND_POSITIONS = re.compile(r"\x1b\[[\d;]*[mH]")


@pytest.fixture(autouse=True)
def gate() -> None:
    install_output_gate()


def bytes_of(strip: Strip) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor")
    return strip.render(console)


@given(st.text(st.characters(codec=None)))
def test_no_text_of_a_strip_steers(text: str) -> None:
    drawn = bytes_of(Strip([Segment(text), Segment(text, Style(bold=True))]))
    assert not _STEERING.search(_COLOURS_AND_POSITIONS.sub("", drawn))
    drawn.encode()


@given(st.text(st.characters(codec=None)))
def test_what_is_drawn_is_as_wide_as_it_was_laid_out(text: str) -> None:
    assert cell_len(bytes_of(Strip([Segment(text)]))) == cell_len(text)


def test_the_usual_text_is_drawn_as_it_is() -> None:
    text = "天气 é 👨‍👩‍👧 e\u0301 │"
    assert bytes_of(Strip([Segment(text)])) == text


def test_a_cropped_strip_is_safe_too() -> None:
    strip = Strip([Segment("ab\x1b[31mcd")])
    assert bytes_of(strip.crop(1, 5)) == "b\ufffd[3"
    assert strip.text == "ab\x1b[31mcd"


def test_a_link_that_steers_is_no_link() -> None:
    assert "\x1b\\evil" not in bytes_of(Strip([Segment("x", Style(link="http://a\x1b\\evil"))]))
    assert "http://a" in bytes_of(Strip([Segment("x", Style(link="http://a"))]))


def test_rich_and_textual_measure_by_the_function_that_we_replace() -> None:
    import textual._wrap
    import textual.widgets._input

    assert rich.cells.get_character_cell_size("\x1b") == 1
    assert textual._wrap.get_character_cell_size("\x1b") == 1  # type: ignore[attr-defined]
    assert textual.widgets._input.get_character_cell_size("\x1b") == 1  # type: ignore[attr-defined]
    texts = ("\x1b[0m", "\u202ex", "\t\a\b\v\f\r\u200e", "天\x9b", "x" * 600 + "\x1b")
    assert [cell_len(text) for text in texts] == [4, 2, 0, 3, 601]
    assert Text("\a\b\v\f\rx").plain == "x"


class EveryWidget(App[None]):
    """An app whose widgets all show the same text."""

    TITLE = HOSTILE

    def compose(self) -> ComposeResult:
        yield Static(HOSTILE, markup=False)
        yield TextArea(HOSTILE)
        yield Input(HOSTILE)
        yield OptionList(HOSTILE.replace("\x00", ""), markup=False)

    def on_mount(self) -> None:
        self.notify(HOSTILE, title=HOSTILE, markup=False)


def drawn_by(app: App[Any]) -> str:
    """Return what a terminal would get for the whole screen, without colours and positions."""
    update = app.screen._compositor.render_update(full=True)
    assert isinstance(update, LayoutUpdate)
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor")
    return _COLOURS_AND_POSITIONS.sub("", update.render_segments(console)).replace("\n", "")


async def test_no_widget_of_textual_lets_a_text_steer_the_terminal() -> None:
    app = EveryWidget()
    async with app.run_test(size=(80, 40), notifications=True) as pilot:
        await pilot.pause()
        drawn = drawn_by(app)
        assert app.query_one(Input).value == HOSTILE
    assert drawn.count("]52;c;QUJD") >= 5
    assert not _STEERING.search(drawn)


async def test_a_hostile_text_in_the_input_is_kept_and_drawn_safely(tmp_path: Path) -> None:
    async with open_app(tmp_path, FakeEngine()) as app:
        app.screen.input.text = "\x1b]0;x\x07 \u202eabc"
        await app.pilot.pause()
        assert app.screen.input.text == "\x1b]0;x\x07 \u202eabc"
        drawn = drawn_by(app.app)
        assert "\ufffd]0;x \ufffdabc" in drawn
        assert cell_len(drawn) == app.app.size.width * app.app.size.height
