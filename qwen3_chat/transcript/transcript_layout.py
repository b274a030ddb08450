"""The layout of a whole transcript: message views one below the other, laid out only where they are shown."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from qwen3_chat.transcript.message_view import MessageView
from qwen3_chat.transcript.styled_rows import Row

MAX_CACHED_ROWS = 3000


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place in the text, not on the screen: it survives resizing, folding and wrong estimates."""

    message_index: int = 0
    logical: int = 0
    offset: int = 0


class TranscriptLayout:
    """The turns of a chat with their heights, and the rows of those seen last, at most `MAX_CACHED_ROWS`."""

    def __init__(self) -> None:
        self.message_views: list[MessageView] = []
        self.width = 0
        self._heights: list[int] = []
        self._tops = [0]
        self._cached_heights: OrderedDict[int, int] = OrderedDict()  # height of each turn that has rows

    @property
    def height(self) -> int:
        """Rows of all turns, partly estimated."""
        return self._tops[-1]

    def top_row(self, index: int) -> int:
        """First row of a turn."""
        return self._tops[index]

    def locate(self, y: int) -> tuple[int, int]:
        """Turn at a height and row in it."""
        turn = max(0, min(bisect_right(self._tops, y) - 1, len(self.message_views) - 1))
        return turn, y - self._tops[turn]

    def row_at(self, y: int) -> tuple[int, Row | None]:
        """Turn at a height and what it draws there, if it is laid out."""
        turn, number = self.locate(y)
        return turn, self.message_views[turn].row_at(number) if self.message_views else None

    def set_views(self, views: Iterable[MessageView]) -> None:
        """Hold these turns instead."""
        self.message_views = list(views)
        self.resize(self.width)

    def append(self, view: MessageView) -> None:
        """Put a turn at the end."""
        view.estimate_height(max(1, self.width))
        self.message_views.append(view)
        self._heights.append(view.height)
        self._tops.append(self._tops[-1] + view.height)

    def resize(self, width: int) -> None:
        """Take a new width; every height is an estimate again."""
        self.width = width
        self._cached_heights.clear()
        for turn in self.message_views:
            turn.estimate_height(max(1, width))
        self._collect_heights()

    def reestimate(self, indices: Iterable[int]) -> None:
        """Estimate turns anew whose shape changed."""
        for number in indices:
            self._cached_heights.pop(number, None)
            self.message_views[number].estimate_height(max(1, self.width))
        self._collect_heights()

    def layout(self, index: int) -> MessageView:
        """Make the rows of a turn."""
        turn = self.message_views[index]
        turn.layout(self.width)
        if self._heights[index] != turn.height:
            self._heights[index] = turn.height
            self._tops[index:] = accumulate(self._heights[index:], initial=self._tops[index])
        self._cached_heights[index] = turn.height
        self._cached_heights.move_to_end(index)
        return turn

    def layout_screen(self, index: int, row: int, screen_rows: int, at_end: bool) -> int:
        """Lay out what a screen of `screen_rows` shows with that row on top, or the end; return where its top lies.

        The row stays where it is while estimates above it turn into heights, because y is computed from it.
        Less than a screen away from an edge, all that lies before the edge is laid out as well: the next move
        ends at the edge itself, not where it was estimated to be.
        """
        if not self.message_views or self.width <= 0:
            return 0
        anchor = len(self.message_views) if at_end else index
        while True:
            bottom = self.height - screen_rows
            y = max(0, bottom if at_end else min(self._tops[index] + row, bottom))
            first = y if y > screen_rows else 0
            last = y + screen_rows - 1 if y + screen_rows < bottom else self.height - 1
            needed = range(self.locate(first)[0], self.locate(last)[0] + 1)
            unknown = [number for number in needed if self.message_views[number].rows is None]
            if not unknown:
                break
            # The nearest to the anchor first: a height that is off may move the others out of sight.
            self.layout(min(unknown, key=lambda number: abs(number - anchor)))
        self._evict_rows(needed)
        return y

    def anchor_at(self, y: int) -> Anchor:
        """What the row at a height shows."""
        if not self.message_views:
            return Anchor()
        number, at = self.locate(y)
        rows = self.message_views[number].rows
        if not rows:
            return Anchor(number)
        if at >= len(rows):  # the blank row at the end of the turn
            return Anchor(number, rows[-1].logical + 1)
        return Anchor(number, rows[at].logical, rows[at].offset)

    def locate_anchor(self, anchor: Anchor) -> tuple[int, int]:
        """Turn and row that show an anchor now."""
        if anchor.message_index >= len(self.message_views) or self.width <= 0:
            return 0, 0
        turn = self.layout(anchor.message_index)
        assert turn.rows is not None, "just laid out"
        if turn.rows and anchor.logical > turn.rows[-1].logical:
            return anchor.message_index, len(turn.rows)
        return anchor.message_index, turn.row_index(anchor.logical, anchor.offset)

    def _collect_heights(self) -> None:
        self._heights = [turn.height for turn in self.message_views]
        self._tops = [0, *accumulate(self._heights)]

    def _evict_rows(self, needed: range) -> None:
        """Drop the rows of turns that nobody looked at for longest."""
        for number in needed:
            self._cached_heights.move_to_end(number)
        excess = sum(self._cached_heights.values()) - MAX_CACHED_ROWS
        for number, height in [*self._cached_heights.items()] if excess > 0 else ():
            if excess <= 0:
                break
            if number not in needed and not self.message_views[number].is_live:
                del self._cached_heights[number]
                self.message_views[number].discard_rows()
                excess -= height
