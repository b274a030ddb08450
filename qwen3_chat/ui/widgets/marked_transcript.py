"""A transcript in which one message can be marked, and what was searched for is highlighted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.segment import Segment
from textual.binding import Binding
from textual.events import Click
from textual.message import Message
from textual.reactive import var
from textual.strip import Strip

from qwen3_chat.store.excerpts import matches
from qwen3_chat.transcript.cells import cells
from qwen3_chat.transcript.entry import Entry
from qwen3_chat.transcript.excerpt import hit
from qwen3_chat.transcript.rows import Row
from qwen3_chat.transcript.turn import ANSWER, HEADER, REASONING, TURN
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
    searched: var[str] = var("", init=False)
    """What was searched for."""

    @dataclass
    class Marked(Message):
        """Another entry is marked, or none any more."""

    def show(self, entries: Sequence[Entry]) -> None:
        """Show these entries instead; the mark stays on its entry if that is still there."""
        super().show(entries)
        if self.marked not in (entry.key for entry in entries):
            self.marked = None

    def retitle(self, headers: Mapping[int, str]) -> None:
        """Give entries other headers, by their keys."""

        def change() -> list[int]:
            changed = []
            for number, turn in enumerate(self.column.turns):
                header = headers.get(turn.entry.key or 0)
                if header is not None and header != turn.header:
                    turn.header = header
                    turn.drop()
                    changed.append(number)
            return changed

        self.keep(change)

    def mark_beside(self, step: int) -> None:
        """Mark the entry before or after the marked one; without a mark, the last one on the screen."""
        keys = [turn.entry.key for turn in self.column.turns]
        if self.marked in keys and self.marked is not None:
            places = range(keys.index(self.marked) + step, len(keys) if step > 0 else -1, step)
        else:
            places = range(min(self.shown_turns.stop, len(keys)) - 1, -1, -1)
        place = next((place for place in places if keys[place] is not None), None)
        if place is not None:
            self.marked = keys[place]
            self.reveal(place)

    def mark(self, key: int) -> None:
        """Mark an entry and show it."""
        for number, turn in enumerate(self.column.turns):
            if turn.entry.key == key:
                self.marked = key
                self.reveal(number)

    def reveal(self, number: int) -> None:
        """Scroll as little as it takes to show an entry, its beginning at least."""
        turn = self.column.lay(number)
        top, height = self.column.top(number), turn.height - 1
        if self._top <= top and top + height <= self._top + self.screen_rows:
            return
        is_below = top > self._top and height < self.screen_rows
        self.following = False
        self.place(number, height - self.screen_rows if is_below else 0)
        self.following = self._top + self.screen_rows >= self.column.height

    def show_hit(self, key: int, query: str, in_thinking: bool) -> None:
        """Go to where an entry holds what was searched for; thinking that holds it is unfolded."""
        number = next((n for n, turn in enumerate(self.column.turns) if turn.entry.key == key), None)
        self.searched = query
        if number is None or self.column.width <= 0:
            return
        turn = self.column.turns[number]
        if in_thinking and not turn.is_open:
            turn.chosen = True
            self.keep(lambda: (number,))
        page = self.column.lay(number).pages[REASONING if in_thinking else ANSWER]
        row = 0
        for logical, text in enumerate(page.texts, page.first):
            if logical != REASONING and (spans := matches(text, query)):
                row = turn.find(logical, spans[0][0])
                break
        self.following = False
        self.place(number, row - ROWS_ABOVE_HIT)
        self.following = self._top + self.screen_rows >= self.column.height
        self.marked = key

    def watch_marked(self) -> None:
        """Draw the mark elsewhere, tell."""
        self.refresh()
        self.post_message(self.Marked())

    def watch_searched(self) -> None:
        """Draw the highlights."""
        self.refresh()

    def on_click(self, event: Click) -> None:
        """Mark the entry whose header was clicked."""
        if not self.column.turns or event.screen_offset != self._pressed_at:
            return
        found = hit(self.column, event.x - self.gutter.left, self._top + event.y - self.gutter.top)
        is_header = found.place.logical % TURN < REASONING
        key = self.column.turns[found.turn].entry.key
        if found.action is None and is_header and key is not None:
            self.marked = None if key == self.marked else key

    def render_line(self, y: int) -> Strip:
        """Draw one row, with its highlights, with the bar of the mark in its first cell."""
        strip = super().render_line(y)
        number, row = self.column.row(self._top + y)
        if row is None:
            return strip
        turn = self.column.turns[number]
        if self.searched and (cuts := self._cuts(number, row)):
            style = self.get_component_rich_style("transcript--hit")
            for start, end in cuts:
                lit = strip.crop(start, end).apply_style(style)
                strip = Strip.join([strip.crop(0, start), lit, strip.crop(end)])
        if self.marked is not None and turn.entry.key == self.marked:
            sign = POINTER if row.logical == HEADER else BAR
            mark = Segment(sign, self.get_component_rich_style("transcript--mark"))
            strip = Strip.join([Strip([mark], 1), strip.crop(1)])
        return strip

    def _cuts(self, number: int, row: Row) -> list[tuple[int, int]]:
        """Return the cells of a row that are to be highlighted."""
        text = next(
            (
                page.texts[row.logical - page.first]
                for page in self.column.turns[number].pages.values()
                if 0 <= row.logical - page.first < len(page.texts)
            ),
            "",
        )
        spans = matches(text, self.searched) if text and row.logical > REASONING else []
        cuts: list[tuple[int, int]] = []
        at = 0
        for run, _, _, offset in row.runs if spans else ():
            for start, end in spans if offset >= 0 else ():
                first, last = max(start - offset, 0), min(end - offset, len(run))
                if first < last:
                    cuts.append((at + cells(run[:first]), at + cells(run[:last])))
            at += cells(run)
        return cuts
