"""The transcript widget, with all messages of a chat, and the base class of screens with a transcript."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from textual.errors import NoWidget
from textual.events import Click, MouseDown
from textual.geometry import Offset
from textual.message import Message
from textual.reactive import var
from textual.screen import Screen, ScreenResultType
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
    FormulaSource,
    OpenLink,
)
from qwen3_chat.transcript.text_positions import target_at
from qwen3_chat.ui.textual_compat import Selection
from qwen3_chat.ui.widgets.growing_entry import GrowingEntry
from qwen3_chat.ui.widgets.transcript_view import TranscriptView

UPDATE_INTERVAL_S = 0.05
"""The interval at which more of a growing entry is shown."""


class Transcript(TranscriptView):
    """All entries of a chat, the last of which may be live.

    Text that arrives is shown in pieces, so that no flood of it keeps a key waiting; an entry that ends with
    much text still to be shown goes on growing until all of it is there.

    No text of an entry is taken for markup or reaches the terminal unescaped.
    """

    thinking_display: var[ThinkingDisplay] = var(ThinkingDisplay.AUTO, init=False)
    draws_formulas: var[bool] = var(True, init=False)
    """True if formulas are drawn, False if their source is shown."""
    reading_width: var[int] = var(0, init=False)
    """The most cells of a row of prose; 0 sets no limit."""

    class LinkClicked(Message):
        """The message that the reader clicked a link."""

        def __init__(self, url: str) -> None:
            super().__init__()
            self.url = url

    class CopyRequested(Message):
        """The message that the reader copies the source of a message or of a code block."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

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
        self.copy_label = copy_label
        self.update_interval_s = UPDATE_INTERVAL_S
        """The interval at which more of a growing entry is shown."""
        self._live: GrowingEntry | None = None
        """The entry that is written to."""
        self._growing: list[GrowingEntry] = []
        """The live entry, after those that have ended and are not shown whole yet."""
        self._ticker: Timer | None = None
        self._pressed_at = Offset(-1, -1)
        self.transcript_layout.set_views(self._make_views(entries))

    # entries

    def show(self, entries: Sequence[MessageEntry]) -> None:
        """Replace all entries and scroll to the end."""
        self._live = None
        self._growing.clear()
        self._stop_ticking()
        self.transcript_layout.set_views(self._make_views(entries))
        self.screen.selections = {}
        self.to_end()

    def append(self, entry: MessageEntry) -> None:
        """Add a complete entry at the end."""
        self.transcript_layout.append(*self._make_views((entry,)))
        self.keep_position()
        self.unseen = not self.following

    def begin(self, entry: MessageEntry) -> None:
        """Add a live entry, which grows until `finish`."""
        self._leave_live()
        self.append(entry)
        self._enter_live(self.transcript_layout.message_views[-1])

    def begin_again(self, entry: MessageEntry) -> None:
        """Make the last entry of this role live until `finish`; the entries after it stay below."""
        self._leave_live()
        views = self.transcript_layout.message_views
        view = next((view for view in reversed(views) if view.entry.role == entry.role), views[-1])
        for growing in [*self._growing]:
            if growing.view is view:
                self._forget(growing)
        self._replace(view, entry)
        self._enter_live(view)

    def _enter_live(self, view: MessageView) -> None:
        view.is_live = True
        self._live = GrowingEntry(view)
        self._growing.append(self._live)
        if self._ticker is None:
            self._ticker = self.set_interval(self.update_interval_s, self.flush)

    def write_reasoning(self, text: str) -> None:
        """Append to the thinking of the live entry, to be shown with the next updates."""
        if self._live is not None:
            self._live.reasoning += text

    def write_answer(self, text: str) -> None:
        """Append to the answer of the live entry, to be shown with the next updates."""
        if self._live is not None:
            self._live.answer += text

    def set_header(self, text: str) -> None:
        """Set the header of the live entry, or of the last one if none is live."""
        if view := self._last_view:
            view.header = text
            self._retitle()

    def set_reasoning_header(self, text: str) -> None:
        """Set the header of the thinking of the live entry, or of the last one if none is live."""
        if view := self._last_view:
            view.reasoning_header = text
            self._retitle()

    def set_note(self, text: str) -> None:
        """Set the note below the live entry, or below the last one if none is live."""
        if view := self._last_view:
            view.note = text
            self._retitle()

    def finish(self, entry: MessageEntry) -> None:
        """Replace the live entry by the complete one; much text still to be shown follows in pieces."""
        if (live := self._live) is None:
            return
        self._live = None
        if live.end(entry):
            self._keep_thinking_open(live.view, has_more=bool(entry.answer.strip()) or entry.has_calls)
            self._forget(live)
            self._replace(live.view, entry)

    def flush(self, *, now: bool = False) -> None:
        """Show the next piece of the text written; `now` ignores the pause after the last one."""
        for growing in [*self._growing]:
            start_s = time.monotonic()
            if growing.has_more and (now or start_s >= growing.paused_until_s):
                self._show_more(growing)
                growing.pause(start_s, time.monotonic())
            if growing.is_complete:
                self._forget(growing)

    def _show_more(self, growing: GrowingEntry) -> None:
        view, index = growing.view, self._index(growing.view)
        title_rows: list[int] | None = []
        if growing.retitled:
            title_rows = view.update_titles(self.transcript_layout.width)
        reasoning, answer = growing.take()
        self._keep_thinking_open(view, has_more=bool(answer.strip()))
        changed_row = view.append(reasoning, answer)
        if changed_row is None:
            self.apply_change(lambda: (index,))
        elif title_rows is None:
            self.transcript_layout.layout(index)
            self.scroll_to_row(*self.transcript_layout.locate_anchor(self._anchor))
        else:
            self.transcript_layout.layout(index)
            top = self.transcript_layout.top_row(index)
            self.keep_position(dirty=top + changed_row)
            for row in title_rows:
                if 0 <= top + row - self._top < self.screen_rows:
                    self.refresh_line(top + row)
        self.unseen = not self.following and (self.unseen or bool(reasoning or answer))

    # the reader's actions

    def toggle_thinking(self) -> None:
        """Fold or unfold the nearest thinking pane: the live one, or the last one on the screen or above."""
        views = self.transcript_layout.message_views
        panes = [index for index, view in enumerate(views) if view.has_thinking]
        if not panes:
            return
        if self._live is not None and self._is_thinking(self._live.view):
            self._toggle_pane(self._index(self._live.view))
        else:
            self._toggle_pane(
                max((index for index in panes if index < self.visible_views.stop), default=panes[0])
            )

    def toggle_all_thinking(self) -> None:
        """Fold every pane, or unfold every one if all are folded."""
        views = self.transcript_layout.message_views
        panes = [index for index, view in enumerate(views) if view.has_thinking]
        to_open = not any(views[index].is_open for index in panes)

        def change() -> Iterable[int]:
            for index in panes:
                views[index].open_override = to_open
            return panes

        self.apply_change(change)

    def copy_answer(self) -> None:
        """Post a request to copy the last answer on the screen or above it."""
        for view in reversed(self.transcript_layout.message_views[: self.visible_views.stop]):
            if view.entry.role == "assistant" and view.whole_answer:
                self.post_message(self.CopyRequested(view.whole_answer))
                return

    def on_mouse_down(self, event: MouseDown) -> None:
        """Store the position at which a click or a selection begins."""
        self._pressed_at = event.screen_offset

    def on_click(self, event: Click) -> None:
        """Run the action under the pointer; a double click on text selects its logical row."""
        event.prevent_default()  # the stock handler would select the whole chat on a double click
        if not self.transcript_layout.message_views or event.screen_offset != self._pressed_at:
            return  # this click is the end of a selection
        target = target_at(
            self.transcript_layout, event.x - self.gutter.left, self._top + event.y - self.gutter.top
        )
        if target.action is not None and not isinstance(target.action, FormulaSource):
            if event.chain == 1 or isinstance(target.action, FoldThinking):
                self._run_action(target.message_index, target.action)
        elif event.chain == 2:
            logical_row = target.position.logical_row
            line_start, line_end = Offset(0, logical_row), Offset(BEYOND_TEXT, logical_row)
            self.screen.selections = {self: Selection(line_start, line_end)}

    def watch_thinking_display(self, display: ThinkingDisplay) -> None:
        """Fold or unfold the panes that the reader did not fold or unfold."""

        def change() -> Iterable[int]:
            views = self.transcript_layout.message_views
            for view in views:
                view.thinking_display = display
            return [index for index, view in enumerate(views) if view.has_thinking]

        self.apply_change(change)

    def watch_draws_formulas(self, draws_formulas: bool) -> None:
        """Draw the formulas of all answers, or show their source."""

        def change() -> Iterable[int]:
            views = self.transcript_layout.message_views
            for view in views:
                view.draw_formulas(draws_formulas)
            return range(len(views))

        self.apply_change(change)

    def watch_reading_width(self, reading_width: int) -> None:
        """Wrap the prose of all messages at that width."""

        def change() -> Iterable[int]:
            views = self.transcript_layout.message_views
            for view in views:
                view.limit_prose(reading_width)
            return range(len(views))

        self.apply_change(change)

    def _run_action(self, index: int, action: Action) -> None:
        view = self.transcript_layout.message_views[index]
        match action:
            case OpenLink(url):
                self.post_message(self.LinkClicked(url))
            case FoldThinking():
                self._toggle_pane(index)
            case CopyAnswer():
                self.post_message(self.CopyRequested(view.whole_answer or view.reasoning))
            case CopyCode(block):
                code = self.transcript_layout.layout(index).sections[ANSWER].code_blocks[block]
                self.post_message(self.CopyRequested("\n".join(code.rows)))

    def _toggle_pane(self, index: int) -> None:
        view = self.transcript_layout.message_views[index]

        def change() -> Iterable[int]:
            view.open_override = not view.is_open
            return (index,)

        self.apply_change(change)
        if not view.is_open:
            self.following = self._top + self.screen_rows >= self.transcript_layout.height
            return
        row = self.transcript_layout.layout(index).row_index(REASONING, 0)
        if self.transcript_layout.top_row(index) + row < self._top and not self._is_thinking(view):
            self.following = False  # the unfolded pane begins above the screen: show it from its first row
            self.scroll_to_row(index, row)

    # the live entry

    def _make_views(self, entries: Iterable[MessageEntry]) -> list[MessageView]:
        """Return a view of each entry; what they have in common is read once, as chats may be long."""
        label, thinking_display = self.copy_label, self.thinking_display
        draws_formulas, reading_width = self.draws_formulas, self.reading_width
        views = [MessageView(entry, label) for entry in entries]
        for view in views:
            view.thinking_display = thinking_display
            view.draws_formulas = draws_formulas
            view.reading_width = reading_width
        return views

    def _is_thinking(self, view: MessageView) -> bool:
        return view.is_live and view.has_thinking and not view.answer.strip()

    def _keep_thinking_open(self, view: MessageView, *, has_more: bool) -> None:
        """Keep live thinking open when more follows if the reader, away from the end, reads it."""
        folds = has_more and view.open_override is None and view.is_open and view.has_thinking
        if folds and not self.following and self._index(view) in self.visible_views:
            view.open_override = True

    @property
    def _last_view(self) -> MessageView | None:
        """The view of the live entry, or of the last one if none is live."""
        if self._live is not None:
            return self._live.view
        return self.transcript_layout.message_views[-1] if self.transcript_layout.message_views else None

    def _retitle(self) -> None:
        for growing in self._growing:
            if growing.view is self._last_view:
                growing.retitled = True  # the next update shows it: titles change with every piece of text
                return
        self.apply_change(lambda: (len(self.transcript_layout.message_views) - 1,))

    def _index(self, view: MessageView) -> int:
        """Return the index of a view, which is one of the last."""
        views = self.transcript_layout.message_views
        return next(index for index in reversed(range(len(views))) if views[index] is view)

    def _replace(self, view: MessageView, entry: MessageEntry) -> None:
        """Show an entry in a view, laid out as a whole."""

        def change() -> Iterable[int]:
            view.set_entry(entry)
            return (self._index(view),)

        self.apply_change(change)

    def _leave_live(self) -> None:
        """End the live entry without a complete one; what is still to be shown follows."""
        if (live := self._live) is not None:
            self._live = None
            live.has_ended = True
            if live.is_complete:
                self._forget(live)

    def _forget(self, growing: GrowingEntry) -> None:
        growing.view.end()
        self._growing.remove(growing)
        if not self._growing:
            self._stop_ticking()

    def _stop_ticking(self) -> None:
        if self._ticker is not None:
            self._ticker.stop()
            self._ticker = None


class TranscriptScreen(Screen[ScreenResultType]):
    """The base class of screens with a transcript.

    Textual finds the character under the pointer by marking every segment with its offset, which makes every
    style unique and leaves decoration without an offset. A transcript computes the offset itself.
    """

    def get_widget_and_offset_at(self, x: int, y: int) -> tuple[Widget | None, Offset | None]:
        """Return the widget at a cell of the screen and the offset of the character there."""
        try:
            widget, region = self.get_widget_at(x, y)
        except NoWidget:
            return None, None
        if not isinstance(widget, Transcript):
            return super().get_widget_and_offset_at(x, y)
        return widget, widget.offset_at(x - region.x - widget.gutter.left, y - region.y - widget.gutter.top)
