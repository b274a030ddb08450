"""Turns one below the other: what lies at which height, laid out only where someone looks."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from qwen3_chat.transcript.rows import Row
from qwen3_chat.transcript.turn import Turn

WARM_ROWS = 3000


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place in the text, not on the screen: it survives resizing, folding and wrong estimates."""

    turn: int = 0
    logical: int = 0
    offset: int = 0


class Column:
    """The turns of a chat with their heights, and the rows of those seen last, at most `WARM_ROWS`."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.width = 0
        self._heights: list[int] = []
        self._tops = [0]
        self._warm: OrderedDict[int, int] = OrderedDict()  # height of each turn that has rows

    @property
    def height(self) -> int:
        """Rows of all turns, partly estimated."""
        return self._tops[-1]

    def top(self, turn: int) -> int:
        """First row of a turn."""
        return self._tops[turn]

    def locate(self, y: int) -> tuple[int, int]:
        """Turn at a height and row in it."""
        turn = max(0, min(bisect_right(self._tops, y) - 1, len(self.turns) - 1))
        return turn, y - self._tops[turn]

    def row(self, y: int) -> tuple[int, Row | None]:
        """Turn at a height and what it draws there, if it is laid out."""
        turn, number = self.locate(y)
        return turn, self.turns[turn].row(number) if self.turns else None

    def fill(self, turns: Iterable[Turn]) -> None:
        """Hold these turns instead."""
        self.turns = list(turns)
        self.resize(self.width)

    def append(self, turn: Turn) -> None:
        """Put a turn at the end."""
        turn.estimate(max(1, self.width))
        self.turns.append(turn)
        self._heights.append(turn.height)
        self._tops.append(self._tops[-1] + turn.height)

    def resize(self, width: int) -> None:
        """Take a new width; every height is an estimate again."""
        self.width = width
        self._warm.clear()
        for turn in self.turns:
            turn.estimate(max(1, width))
        self._measure()

    def changed(self, turns: Iterable[int]) -> None:
        """Estimate turns anew whose shape changed."""
        for number in turns:
            self._warm.pop(number, None)
            self.turns[number].estimate(max(1, self.width))
        self._measure()

    def lay(self, number: int) -> Turn:
        """Make the rows of a turn."""
        turn = self.turns[number]
        turn.lay(self.width)
        if self._heights[number] != turn.height:
            self._heights[number] = turn.height
            self._tops[number:] = accumulate(self._heights[number:], initial=self._tops[number])
        self._warm[number] = turn.height
        self._warm.move_to_end(number)
        return turn

    def settle(self, turn: int, row: int, rows: int, at_end: bool) -> int:
        """Lay out what a screen of `rows` shows with that row on top, or the end; return where its top lies.

        The row stays where it is while estimates above it turn into heights, because y is computed from it.
        Less than a screen away from an edge, all that lies before the edge is laid out as well: the next move
        ends at the edge itself, not where it was estimated to be.
        """
        if not self.turns or self.width <= 0:
            return 0
        anchor = len(self.turns) if at_end else turn
        while True:
            bottom = self.height - rows
            y = max(0, bottom if at_end else min(self._tops[turn] + row, bottom))
            first = y if y > rows else 0
            last = y + rows - 1 if y + rows < bottom else self.height - 1
            needed = range(self.locate(first)[0], self.locate(last)[0] + 1)
            unknown = [number for number in needed if self.turns[number].rows is None]
            if not unknown:
                break
            # The nearest to the anchor first: a height that is off may move the others out of sight.
            self.lay(min(unknown, key=lambda number: abs(number - anchor)))
        self._cool(needed)
        return y

    def anchor(self, y: int) -> Anchor:
        """What the row at a height shows."""
        if not self.turns:
            return Anchor()
        number, at = self.locate(y)
        rows = self.turns[number].rows
        if not rows:
            return Anchor(number)
        if at >= len(rows):  # the blank row at the end of the turn
            return Anchor(number, rows[-1].logical + 1)
        return Anchor(number, rows[at].logical, rows[at].offset)

    def find(self, anchor: Anchor) -> tuple[int, int]:
        """Turn and row that show an anchor now."""
        if anchor.turn >= len(self.turns) or self.width <= 0:
            return 0, 0
        turn = self.lay(anchor.turn)
        assert turn.rows is not None, "just laid out"
        if turn.rows and anchor.logical > turn.rows[-1].logical:
            return anchor.turn, len(turn.rows)
        return anchor.turn, turn.find(anchor.logical, anchor.offset)

    def _measure(self) -> None:
        self._heights = [turn.height for turn in self.turns]
        self._tops = [0, *accumulate(self._heights)]

    def _cool(self, needed: range) -> None:
        """Drop the rows of turns that nobody looked at for longest."""
        for number in needed:
            self._warm.move_to_end(number)
        excess = sum(self._warm.values()) - WARM_ROWS
        for number, height in [*self._warm.items()] if excess > 0 else ():
            if excess <= 0:
                break
            if number not in needed and not self.turns[number].live:
                del self._warm[number]
                self.turns[number].drop()
                excess -= height
