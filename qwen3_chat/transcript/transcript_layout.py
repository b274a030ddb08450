"""The layout of a whole transcript: message views one below the other, laid out only where they are shown."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from itertools import accumulate

from msgspec import Struct

from qwen3_chat.transcript.message_view import MessageView
from qwen3_chat.transcript.styled_rows import Row

MAX_CACHED_ROWS = 3000


class Anchor(Struct, frozen=True):
    """A position in the text, not on the screen: it survives resizing, folding and wrong estimates."""

    message_index: int = 0
    logical_row: int = 0
    offset: int = 0


class TranscriptLayout:
    """The views of a chat's messages with their heights, and the rows of the views shown last.

    At most `MAX_CACHED_ROWS` rows are kept.
    """

    def __init__(self) -> None:
        self.message_views: list[MessageView] = []
        self.width = 0
        self._heights: list[int] = []
        self._tops = [0]
        self._heights_by_recency: OrderedDict[int, int] = OrderedDict()
        """The height of each view that has rows, by message index, the least recently shown first."""

    @property
    def height(self) -> int:
        """The number of rows of all messages, partly estimated."""
        return self._tops[-1]

    def top_row(self, index: int) -> int:
        """Return the first row of a message."""
        return self._tops[index]

    def locate(self, y: int) -> tuple[int, int]:
        """Return the index of the message at a row of the transcript, and the row in the message."""
        index = max(0, min(bisect_right(self._tops, y) - 1, len(self.message_views) - 1))
        return index, y - self._tops[index]

    def row_at(self, y: int) -> tuple[int, Row | None]:
        """Return the index of the message at a row of the transcript, and the row drawn, if laid out."""
        index, row = self.locate(y)
        return index, self.message_views[index].row_at(row) if self.message_views else None

    def set_views(self, views: Iterable[MessageView]) -> None:
        """Replace the message views."""
        self.message_views = list(views)
        self.resize(self.width)

    def append(self, view: MessageView) -> None:
        """Append a message view."""
        view.estimate_height(max(1, self.width))
        self.message_views.append(view)
        self._heights.append(view.height)
        self._tops.append(self._tops[-1] + view.height)

    def resize(self, width: int) -> None:
        """Set a new width; every height is an estimate again."""
        self.width = width
        self._heights_by_recency.clear()
        for view in self.message_views:
            view.estimate_height(max(1, width))
        self._collect_heights()

    def reestimate(self, indices: Iterable[int]) -> None:
        """Estimate the heights of messages whose shape changed."""
        for index in indices:
            self._heights_by_recency.pop(index, None)
            self.message_views[index].estimate_height(max(1, self.width))
        self._collect_heights()

    def layout(self, index: int) -> MessageView:
        """Lay out a message and return its view."""
        view = self.message_views[index]
        view.layout(self.width)
        if self._heights[index] != view.height:
            self._heights[index] = view.height
            self._tops[index:] = accumulate(self._heights[index:], initial=self._tops[index])
        self._heights_by_recency[index] = view.height
        self._heights_by_recency.move_to_end(index)
        return view

    def layout_screen(self, index: int, row: int, screen_rows: int, at_end: bool) -> int:
        """Lay out a screen with `row` of message `index` on top, or the end at its bottom; return its top y.

        The row does not move while estimates above it turn into heights, because y is computed from it. Less
        than a screen away from an edge, all that lies before the edge is laid out as well: the next move ends
        at the edge itself, not at its estimated position.
        """
        if not self.message_views or self.width <= 0:
            return 0
        nearest_to = len(self.message_views) if at_end else index
        while True:
            bottom = self.height - screen_rows
            y = max(0, bottom if at_end else min(self._tops[index] + row, bottom))
            first = y if y > screen_rows else 0
            last = y + screen_rows - 1 if y + screen_rows < bottom else self.height - 1
            needed = range(self.locate(first)[0], self.locate(last)[0] + 1)
            missing = [number for number in needed if self.message_views[number].rows is None]
            if not missing:
                break
            # The nearest first: a wrong estimate may move the others out of the screen.
            self.layout(min(missing, key=lambda number: abs(number - nearest_to)))
        self._evict_rows(needed)
        return y

    def anchor_at(self, y: int) -> Anchor:
        """Return the anchor of a row of the transcript."""
        if not self.message_views:
            return Anchor()
        index, row = self.locate(y)
        rows = self.message_views[index].rows
        if not rows:
            return Anchor(index)
        if row >= len(rows):  # the blank row at the end of the message
            return Anchor(index, rows[-1].logical_row + 1)
        return Anchor(index, rows[row].logical_row, rows[row].offset)

    def locate_anchor(self, anchor: Anchor) -> tuple[int, int]:
        """Return the index of the message and the row in it that show an anchor now."""
        if anchor.message_index >= len(self.message_views) or self.width <= 0:
            return 0, 0
        view = self.layout(anchor.message_index)
        assert view.rows is not None, "just laid out"
        if view.rows and anchor.logical_row > view.rows[-1].logical_row:
            return anchor.message_index, len(view.rows)
        return anchor.message_index, view.row_index(anchor.logical_row, anchor.offset)

    def _collect_heights(self) -> None:
        self._heights = [view.height for view in self.message_views]
        self._tops = [0, *accumulate(self._heights)]

    def _evict_rows(self, needed: range) -> None:
        """Discard rows of the least recently shown messages until few enough remain, none of the `needed`."""
        for index in needed:
            self._heights_by_recency.move_to_end(index)
        excess = sum(self._heights_by_recency.values()) - MAX_CACHED_ROWS
        for index, height in [*self._heights_by_recency.items()] if excess > 0 else ():
            if excess <= 0:
                break
            if index not in needed and not self.message_views[index].is_live:
                del self._heights_by_recency[index]
                self.message_views[index].discard_rows()
                excess -= height
