"""A tiny application around a transcript."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import App, ComposeResult
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input

from qwen3_chat.transcript import MessageEntry
from qwen3_chat.ui.themes import default_variables
from qwen3_chat.ui.widgets.transcript import Transcript, TranscriptScreen


class Host(App[None]):
    """An app that shows entries above an input line and collects the messages of the transcript."""

    CSS = "Input { dock: bottom; border: none; height: 1; }"

    def __init__(self, entries: Sequence[MessageEntry] = ()) -> None:
        super().__init__()
        self.transcript = Transcript(entries, copy_label="copy")
        self.received: list[Message] = []

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return default_variables(self.current_theme)

    def get_default_screen(self) -> Screen[None]:
        return TranscriptScreen()

    def compose(self) -> ComposeResult:
        yield self.transcript
        yield Input()

    def on_mount(self) -> None:
        self.transcript.focus()

    def on_transcript_link_clicked(self, message: Transcript.LinkClicked) -> None:
        self.received.append(message)

    def on_transcript_copy_requested(self, message: Transcript.CopyRequested) -> None:
        self.received.append(message)

    def on_transcript_view_follow_changed(self, message: Transcript.FollowChanged) -> None:
        self.received.append(message)


def shown(transcript: Transcript) -> list[str]:
    """Read the rows on the screen."""
    return [transcript.render_line(y).text.rstrip() for y in range(transcript.screen_rows)]
