"""The transcript in which one message can be marked and search matches are highlighted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.segment import Segment
from textual.binding import Binding
from textual.events import Click
from textual.message import Message
from textual.reactive import var
from textual.strip import Strip

from qwen3_chat.record_copies import replace
from qwen3_chat.store.search_terms import match_spans
from qwen3_chat.transcript.cells import cell_width
from qwen3_chat.transcript.message_entry import MessageEntry
from qwen3_chat.transcript.message_view import ANSWER, HEADER, MESSAGE_STRIDE, REASONING
from qwen3_chat.transcript.styled_rows import Row
from qwen3_chat.transcript.text_positions import target_at
from qwen3_chat.ui.widgets.transcript import Transcript

ROWS_ABOVE_HIT = 3
POINTER, BAR = "▶", "┃"


class MarkedTranscript(Transcript):
    """A transcript with a mark and highlights.

    Entries are marked by their keys; those without a key, such as notices, can't be marked.
    """

    BINDINGS = [
        Binding("up", "screen.mark(-1)", show=False),
        Binding("down", "screen.mark(1)", show=False),
    ]
    COMPONENT_CLASSES = {"transcript--mark", "transcript--hit"}
    DEFAULT_CSS = """
    MarkedTranscript {
        & > .transcript--mark { color: $accent; text-style: bold; }
        & > .transcript--hit { color: $text; background: $warning 40%; text-style: bold underline; }
    }
    """

    marked: var[int | None] = var(None, init=False)
    """The key of the marked entry; None while none is marked."""
    search_text: var[str] = var("", init=False)
    """The text of the search, whose matches are highlighted."""

    class Marked(Message):
        """The message that another entry is marked, or none any more."""

    def show(self, entries: Sequence[MessageEntry]) -> None:
        """Replace all entries; the mark stays on its entry if that is among them."""
        super().show(entries)
        if self.marked not in (entry.key for entry in entries):
            self.marked = None

    def retitle(self, headers: Mapping[int, str]) -> None:
        """Set the headers of entries by their keys."""

        def change() -> list[int]:
            changed = []
            for index, view in enumerate(self.transcript_layout.message_views):
                header = headers.get(view.entry.key or 0)
                if header is not None and header != view.header:
                    view.header = header
                    view.discard_rows()
                    changed.append(index)
            return changed

        self.apply_change(change)

    def replace_entry(self, entry: MessageEntry, other: MessageEntry) -> bool:
        """Show another entry in the place of one; return False if that one is not there."""
        views = self.transcript_layout.message_views
        index = next((index for index, view in enumerate(views) if view.entry is entry), None)
        if index is None:
            return False

        def change() -> list[int]:
            views[index].set_entry(other)
            return [index]

        self.apply_change(change)
        return True

    def remove_entry(self, entry: MessageEntry) -> None:
        """Remove an entry."""
        views = self.transcript_layout.message_views
        self.transcript_layout.set_views([view for view in views if view.entry is not entry])
        self.keep_position()

    def renote(self, notes: Mapping[int, str]) -> None:
        """Set the notes below entries by their keys."""
        for view in self.transcript_layout.message_views:
            if (note := notes.get(view.entry.key or 0)) is not None and note != view.entry.note:
                self.replace_entry(view.entry, replace(view.entry, note=note))

    def mark_beside(self, step: int) -> None:
        """Mark the entry before or after the marked one, or the last one on the screen if none is marked."""
        keys = [view.entry.key for view in self.transcript_layout.message_views]
        if self.marked in keys and self.marked is not None:
            candidates = range(keys.index(self.marked) + step, len(keys) if step > 0 else -1, step)
        else:
            candidates = range(min(self.visible_views.stop, len(keys)) - 1, -1, -1)
        index = next((index for index in candidates if keys[index] is not None), None)
        if index is not None:
            self.marked = keys[index]
            self.reveal(index)

    def mark(self, key: int) -> None:
        """Mark an entry by its key and scroll to it."""
        for index, view in enumerate(self.transcript_layout.message_views):
            if view.entry.key == key:
                self.marked = key
                self.reveal(index)

    def reveal(self, index: int) -> None:
        """Scroll as little as it takes to show an entry, at least its beginning."""
        view = self.transcript_layout.layout(index)
        top, height = self.transcript_layout.top_row(index), view.height - 1
        if self._top <= top and top + height <= self._top + self.screen_rows:
            return
        is_below = top > self._top and height < self.screen_rows
        self.following = False
        self.scroll_to_row(index, height - self.screen_rows if is_below else 0)
        self.following = self._top + self.screen_rows >= self.transcript_layout.height

    def show_hit(self, key: int, query: str, in_thinking: bool) -> None:
        """Scroll to the first match of a query in an entry; thinking that contains it is unfolded."""
        views = self.transcript_layout.message_views
        index = next((index for index, view in enumerate(views) if view.entry.key == key), None)
        self.search_text = query
        if index is None or self.transcript_layout.width <= 0:
            return
        view = views[index]
        in_thinking = in_thinking or not view.answer  # a long result of a tool is in the pane
        if in_thinking and not view.is_open:
            view.open_override = True
            self.apply_change(lambda: (index,))
        section = self.transcript_layout.layout(index).sections[REASONING if in_thinking else ANSWER]
        row = 0
        for logical_row, text in enumerate(section.logical_texts, section.first_logical_row):
            if logical_row != REASONING and (spans := match_spans(text, query)):
                row = view.row_index(logical_row, spans[0][0])
                break
        self.following = False
        self.scroll_to_row(index, row - ROWS_ABOVE_HIT)
        self.following = self._top + self.screen_rows >= self.transcript_layout.height
        self.marked = key

    def watch_marked(self) -> None:
        """Draw the mark at its new entry, and post the change."""
        self.refresh()
        self.post_message(self.Marked())

    def watch_search_text(self) -> None:
        """Draw the highlights of the new search."""
        self.refresh()

    def on_click(self, event: Click) -> None:
        """Mark the entry whose header was clicked, or remove its mark."""
        if not self.transcript_layout.message_views or event.screen_offset != self._pressed_at:
            return
        target = target_at(
            self.transcript_layout, event.x - self.gutter.left, self._top + event.y - self.gutter.top
        )
        is_header = target.position.logical_row % MESSAGE_STRIDE < REASONING
        key = self.transcript_layout.message_views[target.message_index].entry.key
        if target.action is None and is_header and key is not None:
            self.marked = None if key == self.marked else key

    def render_line(self, y: int) -> Strip:
        """Draw one row with its highlights, and with the mark in its first cell."""
        strip = super().render_line(y)
        index, row = self.transcript_layout.row_at(self._top + y)
        if row is None:
            return strip
        view = self.transcript_layout.message_views[index]
        if self.search_text and (spans := self._highlighted_cells(index, row)):
            style = self.get_component_rich_style("transcript--hit")
            for start, end in spans:
                highlighted = strip.crop(start, end).apply_style(style)
                strip = Strip.join([strip.crop(0, start), highlighted, strip.crop(end)])
        if self.marked is not None and view.entry.key == self.marked:
            sign = POINTER if row.logical_row == HEADER else BAR
            mark = Segment(sign, self.get_component_rich_style("transcript--mark"))
            strip = Strip.join([Strip([mark], 1), strip.crop(1)])
        return strip

    def _highlighted_cells(self, index: int, row: Row) -> list[tuple[int, int]]:
        """Return the spans of a row's cells that match the search."""
        text = next(
            (
                section.logical_texts[row.logical_row - section.first_logical_row]
                for section in self.transcript_layout.message_views[index].sections.values()
                if 0 <= row.logical_row - section.first_logical_row < len(section.logical_texts)
            ),
            "",
        )
        spans = match_spans(text, self.search_text) if text and row.logical_row > REASONING else []
        cells: list[tuple[int, int]] = []
        run_start = 0
        for run, _, _, offset in row.runs if spans else ():
            for start, end in spans if offset >= 0 else ():
                first, last = max(start - offset, 0), min(end - offset, len(run))
                if first < last:
                    cells.append((run_start + cell_width(run[:first]), run_start + cell_width(run[:last])))
            run_start += cell_width(run)
        return cells
