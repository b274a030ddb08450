"""The transcript widget: all messages of a chat, the last of which may be live, and the screen on which
its text is selected.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textual.errors import NoWidget
from textual.events import Click, MouseDown
from textual.geometry import Offset
from textual.message import Message
from textual.reactive import var
from textual.screen import Screen, ScreenResultType
from textual.selection import Selection
from textual.timer import Timer
from textual.widget import Widget

from qwen3_chat.transcript.message_entry import MessageEntry, ThinkingDisplay
from qwen3_chat.transcript.message_view import ANSWER, REASONING, MessageView
from qwen3_chat.transcript.styled_rows import (
    BEYOND_TEXT,
    Action,
    CopyAnswer,
    CopyCode,
    FoldThinking,
    OpenLink,
)
from qwen3_chat.transcript.text_positions import target_at
from qwen3_chat.ui.widgets.transcript_view import TranscriptView

UPDATE_INTERVAL_S = 0.05
PAUSE_FACTOR = 5
"""After an update that took long comes a rest so much longer: at most a fifth of one core."""


class Transcript(TranscriptView):
    """Entries of a chat, in the reader's language; nothing in them is markup or reaches the terminal raw."""

    thinking_display: var[ThinkingDisplay] = var(ThinkingDisplay.AUTO, init=False)

    @dataclass
    class LinkClicked(Message):
        """The reader clicked a link."""

        url: str

    @dataclass
    class CopyRequested(Message):
        """The reader asked for the source of a message or of a code block."""

        text: str

    def __init__(
        self,
        entries: Sequence[MessageEntry] = (),
        *,
        copy_label: str = "⧉",
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._copy_label = copy_label
        self.update_interval_s = UPDATE_INTERVAL_S
        """How often a live entry is shown further."""
        self._live: int | None = None
        self._reasoning: list[str] = []
        self._answer: list[str] = []
        self._retitled = False
        self._ticker: Timer | None = None
        self._paused_until_s = 0.0
        self._pressed_at = Offset(-1, -1)
        self.transcript_layout.set_views(map(self._message_view, entries))

    # what the chat tells

    def show(self, entries: Sequence[MessageEntry]) -> None:
        """Show these entries instead, from their end."""
        self._leave_live()
        self.transcript_layout.set_views(map(self._message_view, entries))
        self.screen.selections = {}
        self.to_end()

    def append(self, entry: MessageEntry) -> None:
        """Add a complete entry below all others."""
        self.transcript_layout.append(self._message_view(entry))
        self.keep_position()
        self.unseen = not self.following

    def begin(self, entry: MessageEntry) -> None:
        """Add an entry that grows until `finish`."""
        self._leave_live()
        self.append(entry)
        self._enter_live(len(self.transcript_layout.message_views) - 1)

    def begin_again(self, entry: MessageEntry) -> None:
        """Have the last entry of this role grow anew until `finish`; what was said since stays below it."""
        self._leave_live()
        numbers = range(len(self.transcript_layout.message_views))
        last = max(
            (n for n in numbers if self.transcript_layout.message_views[n].entry.role == entry.role),
            default=-1,
        )
        self._enter_live(last)
        self.finish(entry)
        self._enter_live(last)

    def _enter_live(self, number: int) -> None:
        self._live = number
        self.transcript_layout.message_views[number].is_live = True
        self._ticker = self.set_interval(self.update_interval_s, self.flush)

    def write_reasoning(self, text: str) -> None:
        """Append to the thinking of the live entry; shown with the next update."""
        self._reasoning.append(text)

    def write_answer(self, text: str) -> None:
        """Append to the answer of the live entry; shown with the next update."""
        self._answer.append(text)

    def set_header(self, text: str) -> None:
        """Change the header of the live entry, or else of the last one."""
        if turn := self._last_view:
            turn.header = text
            self._retitle()

    def set_reasoning_header(self, text: str) -> None:
        """Change the row that folds the thinking of the live entry, or else of the last one."""
        if turn := self._last_view:
            turn.reasoning_header = text
            self._retitle()

    def set_note(self, text: str) -> None:
        """Change the note below the live entry, or else below the last one."""
        if turn := self._last_view:
            turn.note = text
            self._retitle()

    def finish(self, entry: MessageEntry) -> None:
        """End the live entry with its complete texts, laid out as a whole."""
        if (live := self._live) is None:
            return
        self._leave_live()
        turn = self.transcript_layout.message_views[live]
        self._keep_thinking_open(live, entry.answer)

        def change() -> Iterable[int]:
            turn.set_entry(entry)
            return (live,)

        self.apply_change(change)

    def flush(self, *, now: bool = False) -> None:
        """Show what was written since the last update; `now` whatever the last one cost."""
        if (live := self._live) is None or not (self._reasoning or self._answer or self._retitled):
            return
        begun_s = time.monotonic()
        if begun_s < self._paused_until_s and not now:
            return
        turn = self.transcript_layout.message_views[live]
        titles = turn.update_titles(self.transcript_layout.width) if self._retitled else []
        reasoning, answer = "".join(self._reasoning), "".join(self._answer)
        self._forget_pending()
        self._keep_thinking_open(live, answer)
        changed = turn.append(reasoning, answer)
        if changed is None or titles is None:
            self.apply_change(lambda: (live,))
        else:
            self.transcript_layout.layout(live)
            top = self.transcript_layout.top_row(live)
            self.keep_position(dirty=top + changed)
            for row in titles:
                if 0 <= top + row - self._top < self.screen_rows:
                    self.refresh_line(top + row)
        self.unseen = not self.following and (self.unseen or bool(reasoning or answer))
        self._paused_until_s = begun_s + (1 + PAUSE_FACTOR) * (time.monotonic() - begun_s)

    # what the reader does

    def toggle_thinking(self) -> None:
        """Fold or unfold the pane nearest to the reader: the live one, else the last one shown or above."""
        turns = self.transcript_layout.message_views
        panes = [number for number, turn in enumerate(turns) if turn.has_thinking]
        if not panes:
            return
        if self._live is not None and self._is_thinking(turns[self._live]):
            self._fold(self._live)
        else:
            self._fold(
                max((number for number in panes if number < self.visible_views.stop), default=panes[0])
            )

    def toggle_all_thinking(self) -> None:
        """Fold every pane, or unfold every one if all are folded."""
        panes = [
            number for number, turn in enumerate(self.transcript_layout.message_views) if turn.has_thinking
        ]
        to_open = not any(self.transcript_layout.message_views[number].is_open for number in panes)

        def change() -> Iterable[int]:
            for number in panes:
                self.transcript_layout.message_views[number].open_override = to_open
            return panes

        self.apply_change(change)

    def copy_answer(self) -> None:
        """Ask for a copy of the last answer on the screen or above."""
        for turn in reversed(self.transcript_layout.message_views[: self.visible_views.stop]):
            if turn.entry.role == "assistant" and turn.answer:
                self.post_message(self.CopyRequested(turn.answer))
                return

    def on_mouse_down(self, event: MouseDown) -> None:
        """Remember where a click or a selection begins."""
        self._pressed_at = event.screen_offset

    def on_click(self, event: Click) -> None:
        """Act on what lies under the pointer; a double click on text selects its logical row."""
        event.prevent_default()  # the stock handler would select the whole chat on a double click
        if not self.transcript_layout.message_views or event.screen_offset != self._pressed_at:
            return  # the end of a selection is a click, too
        found = target_at(
            self.transcript_layout, event.x - self.gutter.left, self._top + event.y - self.gutter.top
        )
        if found.action is not None:
            if event.chain == 1 or isinstance(found.action, FoldThinking):
                self._act(found.message_index, found.action)
        elif event.chain == 2:
            logical = found.position.logical
            self.screen.selections = {self: Selection(Offset(0, logical), Offset(BEYOND_TEXT, logical))}

    def watch_thinking_display(self, display: ThinkingDisplay) -> None:
        """Fold and unfold the panes that the reader left alone."""

        def change() -> Iterable[int]:
            for turn in self.transcript_layout.message_views:
                turn.thinking_display = display
            return [
                number
                for number, turn in enumerate(self.transcript_layout.message_views)
                if turn.has_thinking
            ]

        self.apply_change(change)

    def _act(self, number: int, action: Action) -> None:
        turn = self.transcript_layout.message_views[number]
        match action:
            case OpenLink(url):
                self.post_message(self.LinkClicked(url))
            case FoldThinking():
                self._fold(number)
            case CopyAnswer():
                self.post_message(self.CopyRequested(turn.answer))
            case CopyCode(block):
                code = self.transcript_layout.layout(number).sections[ANSWER].code_blocks[block]
                self.post_message(self.CopyRequested("\n".join(code.rows)))

    def _fold(self, number: int) -> None:
        turn = self.transcript_layout.message_views[number]

        def change() -> Iterable[int]:
            turn.open_override = not turn.is_open
            return (number,)

        self.apply_change(change)
        if not turn.is_open:
            self.following = self._top + self.screen_rows >= self.transcript_layout.height
            return
        row = self.transcript_layout.layout(number).row_index(REASONING, 0)
        if self.transcript_layout.top_row(number) + row < self._top and not self._is_thinking(turn):
            self.following = False  # what was unfolded begins above the screen: show it from its first row
            self.scroll_to_row(number, row)

    # the live entry

    def _message_view(self, entry: MessageEntry) -> MessageView:
        turn = MessageView(entry, self._copy_label)
        turn.thinking_display = self.thinking_display
        return turn

    def _is_thinking(self, turn: MessageView) -> bool:
        return turn.is_live and turn.has_thinking and not turn.answer.strip()

    def _keep_thinking_open(self, number: int, answer: str) -> None:
        """Leave live thinking open when the answer starts while the reader, not at the end, reads it."""
        turn = self.transcript_layout.message_views[number]
        folds = bool(answer.strip()) and turn.open_override is None and turn.is_open and turn.has_thinking
        if folds and not self.following and number in self.visible_views:
            turn.open_override = True

    @property
    def _last_view(self) -> MessageView | None:
        """The live turn, or else the last one."""
        if self._live is not None:
            return self.transcript_layout.message_views[self._live]
        return self.transcript_layout.message_views[-1] if self.transcript_layout.message_views else None

    def _retitle(self) -> None:
        if self._live is not None:
            self._retitled = True  # these come with every piece of text
        else:
            self.apply_change(lambda: (len(self.transcript_layout.message_views) - 1,))

    def _forget_pending(self) -> None:
        self._reasoning.clear()
        self._answer.clear()
        self._retitled = False

    def _leave_live(self) -> None:
        self._forget_pending()
        self._paused_until_s = 0.0
        if self._ticker is not None:
            self._ticker.stop()
            self._ticker = None
        if self._live is not None:
            self.transcript_layout.message_views[self._live].is_live = False
            self._live = None


class TranscriptScreen(Screen[ScreenResultType]):
    """Base of screens with a transcript.

    Textual finds the character under the pointer by marking every segment with its offset, which makes every
    style unique and leaves decoration without an offset. A transcript knows the answer itself.
    """

    def get_widget_and_offset_at(self, x: int, y: int) -> tuple[Widget | None, Offset | None]:
        """Ask the transcript which character lies at a cell of the screen."""
        try:
            widget, region = self.get_widget_at(x, y)
        except NoWidget:
            return None, None
        if not isinstance(widget, Transcript):
            return super().get_widget_and_offset_at(x, y)
        return widget, widget.offset_at(x - region.x - widget.gutter.left, y - region.y - widget.gutter.top)
