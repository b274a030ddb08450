"""The apps of `bench ui`: an input line below our transcript, below Textual's widgets, or alone."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Sequence

from rich.console import RenderableType
from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.drivers.headless_driver import HeadlessDriver
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, Markdown

from qwen3_chat.transcript import MessageEntry
from qwen3_chat.ui.themes import default_variables
from qwen3_chat.ui.widgets.transcript import Transcript, TranscriptScreen


class SilentDriver(HeadlessDriver):
    """A driver for which Textual renders to the last byte; the bytes are dropped."""

    @property
    def is_headless(self) -> bool:
        """Always False: a headless app skips rendering to escape sequences."""
        return False

    def write(self, data: str) -> None:
        """Drop the bytes of a frame."""


class MeasuredApp(App[None]):
    """An app that records the time at which each frame is handed to the driver."""

    CSS = "Input { dock: bottom; }"

    def __init__(self, entries: Sequence[MessageEntry] = ()) -> None:
        super().__init__(driver_class=SilentDriver)
        self.entries = entries
        self.frame_at_s = 0.0
        self.frame = asyncio.Event()

    def compose(self) -> ComposeResult:
        """Yield the widgets of the chat, if there are any, and the input line."""
        yield from self.chat_widgets()
        box = Input()
        box.cursor_blink = False
        yield box

    def chat_widgets(self) -> Sequence[Widget]:
        """Return the widgets of the chat."""
        return ()

    async def open_chat(self) -> None:
        """Show the entries."""

    def page(self, step: int) -> None:
        """Scroll a screen up (-1) or down (1)."""

    def on_mount(self) -> None:
        """Focus the input line."""
        self.query_one(Input).focus()

    def on_ready(self) -> None:
        """Freeze the garbage collector's objects as our app does: it does not traverse them again."""
        gc.freeze()

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        super()._display(screen, renderable)
        if renderable is not None:
            self.frame_at_s = time.perf_counter()
            self.frame.set()


class BareApp(MeasuredApp):
    """An app with an input line only."""


class TranscriptApp(MeasuredApp):
    """An app with all messages in one widget."""

    @property
    def transcript(self) -> Transcript:
        """The widget of the messages."""
        return self.query_one(Transcript)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return the variables that the styles of the transcript need."""
        return default_variables(self.current_theme)

    def get_default_screen(self) -> Screen[None]:
        """Return a screen of the class that the chat uses."""
        return TranscriptScreen()

    def chat_widgets(self) -> Sequence[Widget]:
        """Return an empty transcript."""
        return (Transcript(),)

    async def open_chat(self) -> None:
        """Show all entries in the transcript."""
        self.transcript.show(self.entries)

    def page(self, step: int) -> None:
        """Scroll as the keys do."""
        (self.transcript.scroll_page_up if step < 0 else self.transcript.scroll_page_down)(animate=False)


class MarkdownApp(MeasuredApp):
    """An app with one `Markdown` widget per message."""

    def chat_widgets(self) -> Sequence[Widget]:
        """Return an empty scroll view."""
        return (VerticalScroll(),)

    async def open_chat(self) -> None:
        """Mount all messages and scroll to the end."""
        view = self.query_one(VerticalScroll)
        await view.mount_all([Markdown(entry.answer) for entry in self.entries])
        view.scroll_end(animate=False)

    def page(self, step: int) -> None:
        """Scroll as the view's keys do."""
        view = self.query_one(VerticalScroll)
        view.scroll_relative(y=step * view.size.height, animate=False)
