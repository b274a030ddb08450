"""A transcript in which one message can be marked and the matches of a search are highlighted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.segment import Segment
from textual.binding import Binding
from textual.events import Click
from textual.message import Message
from textual.reactive import var
from textual.strip import Strip

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
    """Entries are marked by their keys; those without one, such as notices, can't be marked."""

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
    """The key of the marked entry."""
    search_text: var[str] = var("", init=False)
    """What was searched for."""

    @dataclass
    class Marked(Message):
        """Another entry is marked, or none any more."""

    def show(self, entries: Sequence[MessageEntry]) -> None:
        """Show these entries instead; the mark stays on its entry if that is still there."""
        super().show(entries)
        if self.marked not in (entry.key for entry in entries):
            self.marked = None

    def retitle(self, headers: Mapping[int, str]) -> None:
        """Give entries other headers, by their keys."""

        def change() -> list[int]:
            changed = []
            for number, turn in enumerate(self.transcript_layout.message_views):
                header = headers.get(turn.entry.key or 0)
                if header is not None and header != turn.header:
                    turn.header = header
                    turn.discard_rows()
                    changed.append(number)
            return changed

        self.apply_change(change)

    def mark_beside(self, step: int) -> None:
        """Mark the entry before or after the marked one; without a mark, the last one on the screen."""
        keys = [turn.entry.key for turn in self.transcript_layout.message_views]
        if self.marked in keys and self.marked is not None:
            places = range(keys.index(self.marked) + step, len(keys) if step > 0 else -1, step)
        else:
            places = range(min(self.visible_views.stop, len(keys)) - 1, -1, -1)
        place = next((place for place in places if keys[place] is not None), None)
        if place is not None:
            self.marked = keys[place]
            self.reveal(place)

    def mark(self, key: int) -> None:
        """Mark an entry and show it."""
        for number, turn in enumerate(self.transcript_layout.message_views):
            if turn.entry.key == key:
                self.marked = key
                self.reveal(number)

    def reveal(self, number: int) -> None:
        """Scroll as little as it takes to show an entry, its beginning at least."""
        turn = self.transcript_layout.layout(number)
        top, height = self.transcript_layout.top_row(number), turn.height - 1
        if self._top <= top and top + height <= self._top + self.screen_rows:
            return
        is_below = top > self._top and height < self.screen_rows
        self.following = False
        self.scroll_to_row(number, height - self.screen_rows if is_below else 0)
        self.following = self._top + self.screen_rows >= self.transcript_layout.height

    def show_hit(self, key: int, query: str, in_thinking: bool) -> None:
        """Go to where an entry holds what was searched for; thinking that holds it is unfolded."""
        number = next(
            (n for n, turn in enumerate(self.transcript_layout.message_views) if turn.entry.key == key), None
        )
        self.search_text = query
        if number is None or self.transcript_layout.width <= 0:
            return
        turn = self.transcript_layout.message_views[number]
        if in_thinking and not turn.is_open:
            turn.open_override = True
            self.apply_change(lambda: (number,))
        page = self.transcript_layout.layout(number).sections[REASONING if in_thinking else ANSWER]
        row = 0
        for logical, text in enumerate(page.logical_texts, page.first_logical):
            if logical != REASONING and (spans := match_spans(text, query)):
                row = turn.row_index(logical, spans[0][0])
                break
        self.following = False
        self.scroll_to_row(number, row - ROWS_ABOVE_HIT)
        self.following = self._top + self.screen_rows >= self.transcript_layout.height
        self.marked = key

    def watch_marked(self) -> None:
        """Draw the mark elsewhere, tell."""
        self.refresh()
        self.post_message(self.Marked())

    def watch_search_text(self) -> None:
        """Draw the highlights."""
        self.refresh()

    def on_click(self, event: Click) -> None:
        """Mark the entry whose header was clicked."""
        if not self.transcript_layout.message_views or event.screen_offset != self._pressed_at:
            return
        found = target_at(
            self.transcript_layout, event.x - self.gutter.left, self._top + event.y - self.gutter.top
        )
        is_header = found.position.logical % MESSAGE_STRIDE < REASONING
        key = self.transcript_layout.message_views[found.message_index].entry.key
        if found.action is None and is_header and key is not None:
            self.marked = None if key == self.marked else key

    def render_line(self, y: int) -> Strip:
        """Draw one row, with its highlights, with the bar of the mark in its first cell."""
        strip = super().render_line(y)
        number, row = self.transcript_layout.row_at(self._top + y)
        if row is None:
            return strip
        turn = self.transcript_layout.message_views[number]
        if self.search_text and (cuts := self._highlighted_cells(number, row)):
            style = self.get_component_rich_style("transcript--hit")
            for start, end in cuts:
                lit = strip.crop(start, end).apply_style(style)
                strip = Strip.join([strip.crop(0, start), lit, strip.crop(end)])
        if self.marked is not None and turn.entry.key == self.marked:
            sign = POINTER if row.logical == HEADER else BAR
            mark = Segment(sign, self.get_component_rich_style("transcript--mark"))
            strip = Strip.join([Strip([mark], 1), strip.crop(1)])
        return strip

    def _highlighted_cells(self, number: int, row: Row) -> list[tuple[int, int]]:
        """Return the cells of a row that are to be highlighted."""
        text = next(
            (
                page.logical_texts[row.logical - page.first_logical]
                for page in self.transcript_layout.message_views[number].sections.values()
                if 0 <= row.logical - page.first_logical < len(page.logical_texts)
            ),
            "",
        )
        spans = match_spans(text, self.search_text) if text and row.logical > REASONING else []
        cuts: list[tuple[int, int]] = []
        at = 0
        for run, _, _, offset in row.runs if spans else ():
            for start, end in spans if offset >= 0 else ():
                first, last = max(start - offset, 0), min(end - offset, len(run))
                if first < last:
                    cuts.append((at + cell_width(run[:first]), at + cell_width(run[:last])))
            at += cell_width(run)
        return cuts
