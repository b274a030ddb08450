"""One test for each thing that the interface assumes of Textual, against the Textual that is installed.

A test that names a textual#number fails when that issue is fixed: what we do instead can then go.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import Full
from string import ascii_letters, punctuation
from typing import TextIO

import pytest
from rich.segment import Segment
from rich.style import Style
from textual._xterm_parser import XTermParser
from textual.app import App, ComposeResult
from textual.command import CommandList, CommandPalette
from textual.css.model import RuleSet
from textual.drivers._writer_thread import WriterThread
from textual.events import Key, MouseScrollDown, Paste
from textual.geometry import Offset, Size
from textual.message import Message
from textual.screen import Screen
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollBar, ScrollDown, ScrollTo
from textual.strip import Strip
from textual.theme import BUILTIN_THEMES
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static, TextArea
from textual.widgets._toast import ToastHolder

from qwen3_chat.ui.textual_compat import (
    NAMED_KEYS,
    Palette,
    Selection,
    SentenceApp,
    SteadyApp,
    SteadyOptionList,
    SteadyScrollView,
    driver_class,
    key_of_character,
    parse_action,
)
from qwen3_chat.ui.widgets.chat_input import JOINERS
from tests.conftest import WAIT_LIMIT_S

posix = pytest.mark.skipif(sys.platform == "win32", reason="drivers of POSIX systems")


class Broken:
    """A terminal that is gone."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")

    def flush(self) -> None:
        pass


@pytest.fixture
def quiet_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a thread end with an error that is part of the test."""
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)


def typed(sequence: str) -> list[Message]:
    """Return the events of what a terminal sends."""
    return list(XTermParser().feed(sequence))


def keys(sequence: str) -> list[str]:
    return [event.key for event in typed(sequence) if isinstance(event, Key)]


# the driver


def test_the_writing_thread_takes_its_text_from_a_queue(tmp_path: Path) -> None:
    with (tmp_path / "terminal").open("w") as terminal:
        writer = WriterThread(terminal)
        writer.start()
        writer._queue.put("one ")
        writer.write("two")
        writer.stop()
    assert (tmp_path / "terminal").read_text() == "one two"


@pytest.mark.usefixtures("quiet_threads")
def test_the_writing_thread_ends_with_its_first_error_and_its_queue_fills_up() -> None:
    writer = WriterThread(Broken())  # type: ignore[arg-type]
    writer.start()
    writer.write("x")
    writer.join(WAIT_LIMIT_S)
    assert not writer.is_alive()
    for _ in range(writer._queue.maxsize - writer._queue.qsize()):
        writer._queue.put_nowait("x")
    with pytest.raises(Full):  # `write` would wait here, forever
        writer._queue.put_nowait("x")


@pytest.fixture
def kept_signals() -> Iterator[None]:
    """Restore the handlers of the signals that the driver takes."""
    names = ("SIGTSTP", "SIGCONT", "SIGWINCH", "SIGTTOU", "SIGTTIN")
    handlers = {name: signal.getsignal(getattr(signal, name)) for name in names}
    yield
    for name, handler in handlers.items():
        signal.signal(getattr(signal, name), handler)


@pytest.fixture
def terminal() -> Iterator[tuple[int, TextIO]]:
    """Yield both ends of a terminal: of its screen, to be closed by the test, and of the program in it."""
    screen_end, program_end = os.openpty()
    with open(program_end, "w") as file:
        yield screen_end, file
        with suppress(OSError):
            file.close()


@posix
@pytest.mark.usefixtures("quiet_threads", "kept_signals")
async def test_a_driver_whose_terminal_is_gone_drops_what_it_is_given(
    terminal: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen_end, program_end = terminal
    monkeypatch.setattr(sys, "__stdin__", program_end)
    monkeypatch.setattr(sys, "__stderr__", program_end)
    driver_type = driver_class()
    assert driver_type is not None
    driver = driver_type(App(), size=(80, 24))
    driver.start_application_mode()
    writer = vars(driver)["_writer_thread"]
    assert isinstance(writer, WriterThread)
    driver.write("hello")
    received = b""
    while b"hello" not in received:
        received += await asyncio.to_thread(os.read, screen_end, 4_096)
    driver.disable_input()
    os.close(screen_end)
    for _ in range(1_000):
        driver.write("x")
    await asyncio.to_thread(writer.join, WAIT_LIMIT_S)
    assert not writer.is_alive()
    driver.write("x")
    driver.close()


# the parser


@pytest.mark.parametrize(
    ("sequence", "names"),
    [
        ("\r", ["enter"]),
        ("\n", ["ctrl+j"]),
        ("\t", ["tab"]),
        ("\x7f", ["backspace"]),
        ("\x1b[13;2u", ["shift+enter"]),
        ("\x1b[13;5u", ["ctrl+enter"]),
        ("\x1b[5~", ["pageup"]),
        ("\x1b[15~", ["f5"]),
        ("\x1b[0;1;20013:25991u", ["中", "文"]),
    ],
)
def test_the_parser_names_the_keys_of_a_terminal_as_our_bindings_do(sequence: str, names: list[str]) -> None:
    assert keys(sequence) == names


@pytest.mark.parametrize("character", punctuation + ascii_letters + "é中")
def test_the_parser_names_the_key_of_a_character_as_we_do(character: str) -> None:
    assert keys(character) == [key_of_character(character)]


@pytest.mark.parametrize(
    "sequence", ["\r", "\t", "\x7f", "\x1b[5~", "\x1b[15~", "\x1b[3~", "\x1b[A", "\x1b[H"]
)
def test_a_key_that_is_no_character_has_its_name_in_the_list(sequence: str) -> None:
    assert set(keys(sequence)) <= NAMED_KEYS


def test_a_bracketed_paste_is_one_event_with_line_ends_as_enter_sends_them() -> None:
    assert [event.text for event in typed("\x1b[200~a\rb\x1b[201~") if isinstance(event, Paste)] == ["a\rb"]


@pytest.mark.parametrize("character", JOINERS)
def test_textual_takes_the_joiners_of_an_emoji_for_unprintable(character: str) -> None:
    (event,) = typed(character)
    assert isinstance(event, Key)
    assert (event.character, event.is_printable) == (character, False)


# the text area


class Editor(TextArea):
    """A text area that handles some keys and pastes itself, as ours do."""

    def on_key(self, event: Key) -> None:
        if event.key == "x":
            event.prevent_default().stop()

    def on_paste(self, event: Paste) -> None:
        event.prevent_default().stop()


class EditorApp(App[None]):
    """An app with a text area below a line."""

    def __init__(self, editor: TextArea) -> None:
        super().__init__()
        self.editor, self.line = editor, Static("one line")

    def compose(self) -> ComposeResult:
        yield self.line
        yield self.editor

    def on_mount(self) -> None:
        self.editor.focus()


async def test_a_handler_of_ours_runs_before_the_text_areas_and_can_prevent_it() -> None:
    app = EditorApp(Editor())
    async with app.run_test() as pilot:
        await pilot.press("a", "x", "b")
        app.post_message(Paste("pasted"))
        await pilot.press("c")
        assert app.editor.text == "abc"


async def test_a_replaced_selection_leaves_the_cursor_to_us() -> None:
    app = EditorApp(TextArea("one two"))
    async with app.run_test():
        app.editor.select_all()
        result = app.editor.replace("1\n2", *app.editor.selection, maintain_selection_offset=False)
        assert (result.end_location, app.editor.text) == ((1, 1), "1\n2")


async def test_a_text_area_still_runs_its_bindings_after_later_characters_textual_6605() -> None:
    app = EditorApp(TextArea())
    async with app.run_test() as pilot:
        for key in ("b", "a", "backspace", "c"):
            app.post_message(Key(key, key if len(key) == 1 else "\x7f"))
        await pilot.press("d")
        assert app.editor.text != "bcd"


async def test_a_text_area_still_fails_to_undo_many_lines_textual_6686() -> None:
    app = EditorApp(TextArea("one\ntwo\n"))

    async def undo_a_paste() -> None:
        async with app.run_test(size=(80, 12)) as pilot:
            app.post_message(Paste("\n".join(map(str, range(50)))))
            await pilot.press("ctrl+z")
            await pilot.pause()

    with pytest.raises(ValueError, match="out of bounds"):
        await undo_a_paste()


async def test_a_text_area_still_leaves_the_terminals_cursor_behind_when_the_layout_moves_it() -> None:
    app = EditorApp(TextArea())
    async with app.run_test() as pilot:
        await pilot.press("a")
        assert app.cursor_position == app.editor.cursor_screen_offset
        moved: list[Screen[object]] = []
        app.screen.screen_layout_refresh_signal.subscribe(app.editor, moved.append)
        app.line.update("two\nlines")
        await pilot.pause()
        assert moved
        assert app.cursor_position != app.editor.cursor_screen_offset


# the scroll view


class Rows(ScrollView, can_focus=True):
    """A hundred numbered rows, in Textual's scroll view."""

    DEFAULT_CSS = "Rows { border: round red; height: 1fr; }"

    def on_mount(self) -> None:
        self.virtual_size = Size(20, 100)

    def render_line(self, y: int) -> Strip:
        return Strip([Segment(f"row {y + self.scroll_offset.y}")])


class SteadyRows(SteadyScrollView, Rows):
    """The same in ours."""

    DEFAULT_CSS = "SteadyRows { border: round red; height: 1fr; }"


class UnmovedRows(Rows):
    """Rows that count how often they are scrolled, and stay."""

    n_calls = 0

    def scroll_to(self, *arguments: object, **options: object) -> None:
        self.n_calls += 1


class RowsApp(App[None]):
    """An app with rows above an input."""

    def __init__(self, view: Rows) -> None:
        super().__init__()
        self.view, self.layouts = view, 0

    def compose(self) -> ComposeResult:
        yield self.view
        yield Input()

    def on_mount(self) -> None:
        self.view.focus()
        self.screen.screen_layout_refresh_signal.subscribe(self.view, self.count)

    def count(self, screen: Screen[object]) -> None:
        self.layouts += 1


async def test_all_but_the_wheel_scrolls_by_the_method_that_we_override() -> None:
    view = UnmovedRows()
    async with RowsApp(view).run_test() as pilot:
        await pilot.press("down", "up", "pagedown", "pageup", "home")
        view.post_message(ScrollDown())
        view.post_message(ScrollTo(y=7))
        view.scroll_relative(y=3)
        view.scroll_visible()
        await pilot.pause()
        assert (view.n_calls, view.scroll_y) == (8, 0)


async def test_the_wheel_scrolls_without_an_animation() -> None:
    view = Rows()
    async with RowsApp(view).run_test() as pilot:
        await pilot.pause()
        moves: list[float] = []

        def remember(scroll_y: float) -> None:
            moves.append(scroll_y)

        view.watch(view, "scroll_y", remember, init=False)
        view.post_message(MouseScrollDown(view, 5, 5, 0, 1, 0, False, False, False))
        await pilot.pause()
        assert moves == [view.app.scroll_sensitivity_y]


async def test_a_layout_that_leaves_its_size_is_drawn_by_every_scroll_view_but_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for view, is_drawn in ((Rows(), True), (SteadyRows(), False)):
        app = RowsApp(view)
        async with app.run_test() as pilot:
            await pilot.pause()
            drawn: list[str] = []
            monkeypatch.setattr(view.vertical_scrollbar, "refresh", lambda drawn=drawn: drawn.append("drawn"))
            app.screen.refresh(layout=True)
            await pilot.pause()
            assert bool(drawn) is is_drawn
            monkeypatch.undo()
            await pilot.resize_terminal(60, 20)
            async with asyncio.timeout(WAIT_LIMIT_S):
                while (view.outer_size, view.vertical_scrollbar.window_size) != (Size(60, 17), 15):
                    await pilot.pause()


async def test_our_view_shows_another_row_without_a_layout() -> None:
    view = SteadyRows()
    app = RowsApp(view)
    async with app.run_test() as pilot:
        await pilot.pause()
        scrollbar = view.vertical_scrollbar
        assert isinstance(scrollbar, ScrollBar)
        app.layouts = 0
        view.scroll_without_layout(Size(20, 200), 120)
        view.refresh()
        await pilot.pause()
        assert (scrollbar.position, scrollbar.window_virtual_size) == (120, 200)
        assert (view.scroll_offset, view.max_scroll_y) == (Offset(0, 120), 200 - view.size.height)
        assert app.layouts == 0


# strips and selections


def test_a_strip_believes_the_width_that_it_is_given() -> None:
    strip = Strip([Segment("中文 ab")], 7)
    assert strip.cell_length == 7
    assert strip.crop(0, 4).text == "中文"
    assert strip.crop(1).text == " 文 ab"  # half a character is a space
    assert Strip.join([strip.crop(0, 4), strip.crop(4)]).text == strip.text
    assert [segment.style for segment in strip.apply_style(Style(bold=True))] == [Style(bold=True)]
    assert (Strip.blank(7, Style(bold=True)).text, Strip.blank(7).cell_length) == (" " * 7, 7)


def test_a_selection_gives_the_part_of_each_row() -> None:
    selection = Selection(Offset(3, 1), Offset(5, 3))
    assert [selection.get_span(row) for row in range(5)] == [None, (3, -1), (0, -1), (0, 5), None]
    assert Selection(None, None).get_span(7) == (0, -1)


class PointedScreen(Screen[None]):
    """A screen that computes itself which character is under the pointer."""

    def get_widget_and_offset_at(self, x: int, y: int) -> tuple[Widget | None, Offset | None]:
        widget, _ = self.get_widget_at(x, y)
        return widget, Offset(x + 100, y + 200)


class PointedApp(App[None]):
    """An app with such a screen."""

    def get_default_screen(self) -> Screen[None]:
        return PointedScreen()

    def compose(self) -> ComposeResult:
        yield Static("some text")


async def test_the_mouse_selects_by_the_offsets_that_the_screen_computes() -> None:
    app = PointedApp()
    async with app.run_test() as pilot:
        await pilot.mouse_down(Static, offset=(1, 0))
        await pilot.hover(Static, offset=(4, 0))
        await pilot.mouse_up(Static, offset=(4, 0))
        assert list(app.screen.selections.values()) == [
            Selection(Offset(101, 200), Offset(105, 200))
        ]  # the last character is in it


def test_a_rule_of_the_styles_is_still_equal_to_itself_alone_where_it_is_hashed() -> None:
    first, second = RuleSet(), RuleSet()
    assert first == second
    assert {first, second} == {first, second}
    assert len({first, second}) == 2


@pytest.mark.parametrize("name", ["textual-light", "ansi-dark"])
async def test_a_theme_to_start_with_is_in_force_as_a_theme_that_is_set(name: str) -> None:
    started, switched = SteadyApp(), SteadyApp()
    started.start_with_theme(name)
    switched.theme = name
    kept = []
    for app in (started, switched):
        async with app.run_test():
            sources = app.stylesheet._variables, app.classes, app.pseudo_classes, app.theme
            filters = [(type(it), it.enabled, vars(it).get("_terminal_theme")) for it in app._filters]
            kept.append((*sources, app.screen.styles.background, filters))
    assert kept[0] == kept[1]


def test_the_theme_of_the_terminals_own_colours_has_variables() -> None:
    assert BUILTIN_THEMES["ansi-dark"].variables


# actions and the palette


def test_an_action_is_split_as_the_palette_needs_it() -> None:
    assert parse_action("screen.message('edit')") == ("screen", "message", ("edit",))
    assert parse_action("help") == ("", "help", ())


class PaletteApp(App[None]):
    """An app with Textual's own commands."""


def rows_of(app: App[None]) -> list[str]:
    """Return what the palette's list offers."""
    return [str(option.prompt) for option in app.screen.query_one(CommandList).options]


async def test_the_palette_shows_our_sentence_for_a_search_in_vain_and_removes_it_again() -> None:
    app = PaletteApp()
    async with app.run_test() as pilot:
        await app.push_screen(Palette("Search", "Nothing found"))
        assert isinstance(app.screen, CommandPalette)
        assert app.screen.query_one(Input).placeholder == "Search"
        await pilot.press(*"zzzz")
        async with asyncio.timeout(WAIT_LIMIT_S):
            while rows_of(app) != ["Nothing found"]:
                await pilot.pause(0.01)
        await pilot.pause()
        assert app.screen.query_one(CommandList).display
        app.screen.query_one(Input).value = "quit"
        async with asyncio.timeout(WAIT_LIMIT_S):
            while not any("Quit" in row for row in rows_of(app)):
                await pilot.pause(0.01)
        assert "Nothing found" not in rows_of(app)


async def test_a_search_that_ends_after_the_palette_has_closed_ends_nothing_else() -> None:
    app = PaletteApp()
    async with app.run_test() as pilot:
        palette = Palette("Search", "Nothing found")
        await app.push_screen(palette)
        await pilot.press("a")
        commands = palette.query_one(CommandList)
        async with asyncio.timeout(WAIT_LIMIT_S):
            while not palette._list_visible:
                await pilot.pause(0.01)
        await app.pop_screen()
        palette._refresh_command_list(commands, [], clear_current=True)


async def test_the_drawn_lines_of_a_closed_screen_are_let_go() -> None:
    class Covering(Screen[None]):
        def compose(self) -> ComposeResult:
            yield Static("some text")

    app = SteadyApp()
    async with app.run_test() as pilot:
        await app.push_screen(Covering())
        await pilot.pause()
        lines = weakref.ref(app.screen.query_one(Static)._styles_cache)
        await app.pop_screen()
        await pilot.pause()
        gc.collect()
        assert lines() is None


async def test_a_palette_is_closed_once_by_enter_pressed_twice_and_takes_no_endless_line() -> None:
    app = PaletteApp()
    async with app.run_test() as pilot:
        palette = Palette("Search", "Nothing found")
        await app.push_screen(palette)
        await pilot.press("a")
        app.post_message(Paste("x" * 10_000))
        await pilot.pause()
        assert palette.query_one(Input).value == "a"
        palette.dismiss()
        palette.dismiss()
        await pilot.pause()
        assert len(app.screen_stack) == 1
        await pilot.press("b")


# the end of the app


@pytest.mark.parametrize(("app_class", "left"), [(App, 3), (SteadyApp, 0)])
async def test_nothing_is_left_of_a_notice_that_went_while_a_dialog_was_open(
    app_class: type[App[None]], left: int
) -> None:
    app = app_class()
    async with app.run_test(notifications=True) as pilot:
        for _ in range(3):
            app.notify("Copied", timeout=60)
            await pilot.pause()
            await app.push_screen(Screen())
            app.clear_notifications()
            await app.pop_screen()
            app.notify("Again", timeout=60)
            await pilot.pause()
            app.clear_notifications()
            await pilot.pause()
        app.notify("The last one", timeout=60)
        await pilot.pause()
        holders = list(app.screen.query(ToastHolder))
        assert sum(not holder.children for holder in holders) >= left
        assert left or [len(holder.children) for holder in holders] == [1]


async def test_an_error_of_a_handler_ends_the_app_with_one_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Failing(SentenceApp):
        def describe_end(self, error: BaseException) -> str:
            return f"It ended: {type(error).__name__}."

        def on_key(self) -> None:
            raise KeyError("a word of a chat")

    app = Failing()
    with pytest.raises(KeyError):
        async with app.run_test() as pilot:
            await pilot.press("a")
    app._print_error_renderables()
    assert capsys.readouterr().err.strip() == "It ended: KeyError."
    assert app.return_code == 1


def test_a_list_without_a_size_still_fails_at_a_page_key_and_ours_does_not() -> None:
    with pytest.raises(KeyError):
        OptionList("a")._move_page(1)
    SteadyOptionList("a")._move_page(1)
