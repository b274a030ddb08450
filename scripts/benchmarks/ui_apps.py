"""The apps `bench ui` measures: an input line below our transcript, below Textual's widgets, or alone."""

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
from qwen3_chat.ui.widgets.transcript import Transcript, TranscriptScreen


class SilentDriver(HeadlessDriver):
    """Makes Textual render to the last byte, and drops the bytes."""

    @property
    def is_headless(self) -> bool:
        """Say no: a headless app skips rendering to escape sequences."""
        return False

    def write(self, data: str) -> None:
        """Drop a frame."""


class MeasuredApp(App[None]):
    """Notes when each frame was handed to the driver."""

    CSS = "Input { dock: bottom; }"

    def __init__(self, entries: Sequence[MessageEntry] = ()) -> None:
        super().__init__(driver_class=SilentDriver)
        self.entries = entries
        self.frame_at_s = 0.0
        self.frame = asyncio.Event()

    def compose(self) -> ComposeResult:
        """Make the place of the chat, if there is one, and the input line."""
        yield from self.chat_widgets()
        box = Input()
        box.cursor_blink = False
        yield box

    def chat_widgets(self) -> Sequence[Widget]:
        """Make what will hold the chat."""
        return ()

    async def open_chat(self) -> None:
        """Fill it."""

    def page(self, step: int) -> None:
        """Go a screen up (-1) or down (1)."""

    def on_mount(self) -> None:
        """Let keys go to the input line."""
        self.query_one(Input).focus()

    def on_ready(self) -> None:
        """Do as our app does, on every side: what lives as long as the app is not looked through again."""
        gc.freeze()

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        super()._display(screen, renderable)
        if renderable is not None:
            self.frame_at_s = time.perf_counter()
            self.frame.set()


class BareApp(MeasuredApp):
    """Nothing but an input line."""


class TranscriptApp(MeasuredApp):
    """All messages in one widget."""

    @property
    def transcript(self) -> Transcript:
        """The widget."""
        return self.query_one(Transcript)

    def get_default_screen(self) -> Screen[None]:
        """Use the screen that the chat uses."""
        return TranscriptScreen()

    def chat_widgets(self) -> Sequence[Widget]:
        """Make an empty transcript."""
        return (Transcript(),)

    async def open_chat(self) -> None:
        """Hand all entries over."""
        self.transcript.show(self.entries)

    def page(self, step: int) -> None:
        """Do as the keys do."""
        (self.transcript.scroll_page_up if step < 0 else self.transcript.scroll_page_down)(animate=False)


class MarkdownApp(MeasuredApp):
    """One `Markdown` widget per message."""

    def chat_widgets(self) -> Sequence[Widget]:
        """Make an empty scroll view."""
        return (VerticalScroll(),)

    async def open_chat(self) -> None:
        """Mount all messages and go to the end."""
        view = self.query_one(VerticalScroll)
        await view.mount_all([Markdown(entry.answer) for entry in self.entries])
        view.scroll_end(animate=False)

    def page(self, step: int) -> None:
        """Scroll as its keys do."""
        view = self.query_one(VerticalScroll)
        view.scroll_relative(y=step * view.size.height, animate=False)
