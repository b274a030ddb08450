"""Everything of Textual that the interface uses and Textual does not document, each with the reason.

An upgrade of Textual may change any of it without notice. `tests/ui/test_textual_compat.py` proves each
assumption against the installed Textual; `tests/project/test_textual_internals.py` keeps the rest of the
package to what is documented. What concerns the terminal has modules of its own: `terminal_parser` reads it,
`terminal_output` writes to it, `terminal_driver` takes it and gives it back. Numbers such as textual#6605 are
issues of github.com/Textualize/textual.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Literal, TypeVar

from rich.text import Text
from textual import events
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual._styles_cache import StylesCache
from textual.actions import parse as parse_action
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.color import Color
from textual.command import Command, CommandList, CommandPalette
from textual.css.model import RuleSet
from textual.driver import Driver
from textual.geometry import Size
from textual.keys import Keys, _character_to_key
from textual.screen import Screen
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.style import Style
from textual.widgets import Input, OptionList
from textual.widgets._toast import ToastHolder
from textual.widgets.option_list import Option
from textual.worker import WorkerFailed

from qwen3_chat.ui.textual_compat.key_order import KeysInOrder
from qwen3_chat.ui.textual_compat.terminal_output import install_output_gate

__all__ = [
    "MAX_LINE_CHARACTERS",
    "NAMED_KEYS",
    "ClosingScreen",
    "Driver",
    "Palette",
    "Selection",
    "SentenceApp",
    "SteadyApp",
    "SteadyOptionList",
    "SteadyScrollView",
    "driver_class",
    "escape_markup",
    "key_of_character",
    "parse_action",
]

# Three names are passed on as they are. We know of no upstream issue about their documentation.
# `parse_action` splits "screen.message('edit')" into namespace, name and parameters. Textual does it with
# each action that runs; the palette needs name and parameters before, to ask whether an action is possible.
# `Driver` is the type of `App`'s argument `driver_class`; `App` is documented, the type is not.
# `Selection` is the argument of `Widget.get_selection`, which is documented. Its `get_span` gives the part of
# a row that is selected, where -1 stands for the row's end.


# keys

NAMED_KEYS = frozenset(key.value for key in Keys)
"""The names of the keys that are not characters, as events have them; `[keys]` accepts these.

The parser takes its names from `Keys`. The documentation has no list of keys; we know of no issue about it.
"""


def key_of_character(character: str) -> str:
    """Return the name that Textual gives to the key of a character: `/` is `slash`, `a` is `a`.

    A binding matches by this name. Textual uses one private function for it everywhere since textual#1926;
    public is only its inverse, `key_to_character` (textual#4945).
    """
    return _character_to_key(character)


def _know_alt_enter() -> None:
    """Let Alt+Enter be Ctrl+J on the terminals that send it as Esc and Enter, which is nearly all of them.

    Textual reads that as `^` and a plain Enter; it knows Enter's modifiers only from terminals with Kitty's
    protocol. The table of sequences is not documented. We know of no upstream issue.
    """
    assert isinstance(ANSI_SEQUENCES_KEYS, dict)  # it is declared as a mapping
    ANSI_SEQUENCES_KEYS.update(dict.fromkeys(("\x1b\r", "\x1b\n"), (Keys.ControlJ,)))


_know_alt_enter()


# the terminal


def driver_class(*, in_browser: bool = False) -> type[Driver] | None:
    """Return the driver for this system, or for a browser; None for Textual's own choice."""
    if in_browser:
        from qwen3_chat.ui.textual_compat.browser_driver import BrowserDriver

        return BrowserDriver
    if sys.platform == "win32":
        return None
    from qwen3_chat.ui.textual_compat.terminal_driver import TerminalDriver

    return TerminalDriver


class TerminalApp(App[None]):
    """An app that gives the terminal back and takes it again, whatever happens meanwhile."""

    def __init__(self, driver_class: type[Driver] | None = None) -> None:
        install_output_gate()
        super().__init__(driver_class=driver_class)

    @contextmanager
    def suspend(self) -> Iterator[None]:
        """Leave the terminal to what is run inside; take it again however that ends.

        Textual's own does not come back from an exception. We know of no upstream issue.
        """
        error: BaseException | None = None
        # Ctrl+C and Ctrl+\ are meant for the program inside, whose process inherits no handler of ours.
        names = [name for name in ("SIGINT", "SIGQUIT") if hasattr(signal, name)]
        previous = {name: signal.signal(getattr(signal, name), lambda *_: None) for name in names}
        try:
            with super().suspend():
                try:
                    yield
                except BaseException as raised:
                    error = raised
        finally:
            for name, handler in previous.items():
                signal.signal(getattr(signal, name), handler)
        if error is not None:
            raise error

    def start_with_theme(self, name: str) -> None:
        """Use a theme from the first frame on; call it before the app runs.

        To set `theme` has Textual parse and apply all styles again when the app runs, some 5 ms; this does
        what else its watcher does. We know of no upstream issue.
        """
        self.set_reactive(App.theme, name)
        theme = self.current_theme
        classes = {f"-theme-{name}": True, "-dark-mode": theme.dark, "-light-mode": not theme.dark}
        self.update_classes(classes, update=False)
        self._refresh_truecolor_filter(self.ansi_theme)
        self.stylesheet.set_variables(self.get_css_variables())

    def write_sequence(self, sequence: str) -> None:
        """Write a sequence that draws nothing to the terminal, if the app has it.

        Textual writes such sequences itself, for the bell or the clipboard, and has no method for others. We
        know of no upstream issue.
        """
        if self._driver is not None and not self._driver.is_headless:
            self._driver.write(sequence)

    @property
    def can_stop(self) -> bool:
        """True if the app can be stopped as Ctrl+Z stops other programs, because a shell can continue it."""
        if sys.platform == "win32" or self._driver is None or not self._driver.can_suspend:
            return False
        from qwen3_chat.ui.textual_compat.terminal_driver import has_a_shell

        return has_a_shell()

    def action_suspend_process(self) -> None:
        """Stop the job of the app, and return to the shell that started it."""
        if sys.platform != "win32" and self.can_stop:
            from qwen3_chat.ui.textual_compat.terminal_driver import send_suspend

            send_suspend()


# the transcript


class SteadyScrollView(ScrollView):
    """A scroll view that ignores a layout of the screen that leaves its size, and scrolls without one.

    `_size_updated` is called on each layout, so with each key typed into an input. The one of `ScrollView` is
    given the size of its region as the size of its content, takes that for a change and draws the scrollbar
    again each time. We know of no upstream issue.
    """

    def _size_updated(
        self, size: Size, virtual_size: Size, container_size: Size, layout: bool = True
    ) -> bool:
        return size != self.outer_size and super()._size_updated(size, virtual_size, container_size, layout)

    def scroll_without_layout(self, size: Size, top: int) -> None:
        """Scroll content of this size to the row `top` without a layout of the screen.

        No widget gets another region, so only the scrollbar needs the two numbers, which Textual's watchers
        would give it after a layout. The names are documented; that no more than this is needed is not.
        """
        if size != self.virtual_size:
            self.set_reactive(ScrollView.virtual_size, size)
            self.vertical_scrollbar.window_virtual_size = size.height
        self.set_reactive(ScrollView.scroll_y, float(top))
        self.set_reactive(ScrollView.scroll_target_y, float(top))
        self.vertical_scrollbar.position = top


# screens over another one

ScreenResultT = TypeVar("ScreenResultT")


class ClosingScreen(Screen[ScreenResultT]):
    """A screen that closes once, and only while nothing covers it.

    Textual's `dismiss` closes the screen on top whichever that is, and gives a result a second time, which
    its future refuses. Keys are queued, so a second Esc comes while the first is at work. We know of no
    upstream issue. This must not be the first base class: Textual takes styles from that one alone.
    """

    def dismiss(self, result: ScreenResultT | None = None) -> AwaitComplete:
        """Close with a result; do nothing if the screen is closed or covered."""
        return super().dismiss(result) if self.app.screen_stack[-1:] == [self] else AwaitComplete()


@lru_cache(1024)
def _inner_and_outer(base_background: Color, background: Color) -> tuple[Style, Style]:
    return Style(background=base_background + background), Style(background=base_background)


def _let_go_of_closed_widgets() -> None:
    """Let a closed widget's drawn lines go with it.

    Textual remembers the backgrounds inside and outside of a widget by two colours and the widget's cache of
    lines, though only the colours matter, so the lines of up to 1,024 closed widgets stay: some 30 MB. This
    is a copy by the colours alone. We know of no upstream issue.
    """

    def get_inner_outer(_self: StylesCache, base_background: Color, background: Color) -> tuple[Style, Style]:
        return _inner_and_outer(base_background, background)

    StylesCache.get_inner_outer = get_inner_outer  # type: ignore[method-assign, assignment]


_let_go_of_closed_widgets()


def _hash_rules_in_c() -> None:
    """Let rules be hashed as any object is.

    To style a widget, Textual looks up each rule of all styles in a set. A rule hashes by its identity, in
    Python, which takes several times as long. We know of no upstream issue.
    """
    RuleSet.__hash__ = object.__hash__  # type: ignore[method-assign]


_hash_rules_in_c()


# lists


class SteadyOptionList(OptionList):
    """A list whose page keys do nothing while it has no size.

    Textual looks up the line of the highlighted option, and lines exist only once the list has been laid out;
    a key that was typed ahead comes before that. We know of no upstream issue.
    """

    def _move_page(self, direction: Literal[-1, 1]) -> None:
        if self.scrollable_content_region:
            super()._move_page(direction)


# the palette

MAX_LINE_CHARACTERS = 500
"""The most that a line to type in takes: Textual measures it whole at each key, so a long paste froze it."""


def escape_markup(text: str) -> str:
    """Return markup that the palette shows as this text, but for backslashes before a bracket.

    The palette reads names and explanations as markup, the names of a user's themes among them. Textual's own
    `escape` leaves some brackets that its parser then refuses. We know of no upstream issue.
    """
    return re.sub(r"\\*\[", r"\\[", text)


class Palette(CommandPalette, ClosingScreen[None]):
    """Textual's command palette with texts in the user's language.

    The sentence for a search without a result stands inside `_start_no_matches_countdown`, so this is a copy
    of it with another sentence. It uses the timer, the delay, the identifier of that row, by which Textual
    removes it, and `_list_visible`, which shows the list. We know of no upstream issue about translations.

    A search that ends while the palette closes fills a list that is gone, which ends the app: a search is a
    worker, which `dismiss` leaves at work. So closing ends it with `_cancel_gather_commands`, and
    `_refresh_command_list` lets the list go. We know of no upstream issue.
    """

    def __init__(self, placeholder: str, no_matches: str) -> None:
        super().__init__(placeholder=placeholder)
        self._no_matches_text = no_matches

    def on_mount(self) -> None:
        """Limit what can be typed."""
        self.query_one(Input).max_length = MAX_LINE_CHARACTERS

    def dismiss(self, result: None = None) -> AwaitComplete:
        """End the search and close."""
        self._cancel_gather_commands()
        return super().dismiss(result)

    def _refresh_command_list(
        self, command_list: CommandList, commands: list[Command], clear_current: bool
    ) -> None:
        if command_list.is_attached:
            super()._refresh_command_list(command_list, commands, clear_current)

    def _start_no_matches_countdown(self, search_value: str) -> None:
        self._stop_no_matches_countdown()

        def show_no_matches() -> None:
            if search_value:
                options = self.query_one(CommandList)
                options.add_option(Option(self._no_matches_text, disabled=True, id=self._NO_MATCHES))
            self._list_visible = bool(search_value)

        self._no_matches_timer = self.set_timer(self._NO_MATCHES_COUNTDOWN, show_no_matches)


# sizes and input

MIN_SIZE = Size(16, 2)
"""The size that a smaller terminal is taken for."""


class SteadyApp(KeysInOrder, TerminalApp):
    """An app that survives the smallest terminals, and input that comes while it ends.

    Text areas and lists wrap their text to the width that their frames leave; where none is left, Textual
    raises. A key that a widget passes on after the screens are closed makes it look for the screen on top.
    `on_event` is documented as the place where events are processed. We know of no upstream issue.

    Of a notice that ended while another screen was shown, Textual removes the toast and leaves its holder,
    with all that was drawn, for as long as its screen lives: some 80 KB each.
    """

    is_ending = False
    """True once the app ends: what is typed from then on has nowhere to go."""

    @property
    def takes_input(self) -> bool:
        """True until the app ends: what is typed from then on has nowhere to go."""
        return self.is_running and not self.is_ending

    async def on_event(self, event: events.Event) -> None:
        """Process an event, unless it is input while the app ends; let no size be too small."""
        match event:
            case events.InputEvent() | events.Paste() if not self.takes_input:
                return
            case events.Resize(size=size) if size.width < MIN_SIZE.width or size.height < MIN_SIZE.height:
                size = Size(max(size.width, MIN_SIZE.width), max(size.height, MIN_SIZE.height))
                event = events.Resize(size, size, pixel_size=event.pixel_size)
            case _:
                pass
        await super().on_event(event)

    def _refresh_notifications(self) -> None:
        for screen in self.screen_stack:
            for holder in screen.query(ToastHolder):
                if holder.is_mounted and not holder.children:
                    holder.remove()
        super()._refresh_notifications()


# the end of the app


class SentenceApp(SteadyApp):
    """An app that an error in a handler, a timer or a worker ends with one sentence instead of a traceback.

    Textual prints the traceback with local variables, and so with the chat; developers still get it with
    `TEXTUAL=debug`. Its options leave no other choice: `_handle_exception` gets every such error,
    `_fatal_error` adds the traceback, `_exit_renderables` is printed by `_print_error_renderables` after the
    screen is left. We know of no upstream issue.
    """

    def describe_end(self, error: BaseException) -> str:
        """Return the sentence about the error that ends the app."""
        raise NotImplementedError

    def _handle_exception(self, error: Exception) -> None:
        sentence = self.describe_end(error.error if isinstance(error, WorkerFailed) else error)
        first = self._exit_renderables[:1]
        super()._handle_exception(error)
        if "debug" not in self.features:
            self._exit_renderables = first or [Text(sentence)]

    def _fatal_error(self) -> None:
        if "debug" in self.features:
            super()._fatal_error()
        else:
            self.bell()
            self._close_messages_no_wait()

    def _print_error_renderables(self) -> None:
        if "debug" in self.features:
            super()._print_error_renderables()
            return
        for renderable in self._exit_renderables:
            self.error_console.print(renderable, soft_wrap=True)  # a path that is wrapped can't be copied
        self._exit_renderables.clear()
