"""A scroll view over a column of turns: what it shows is exact, what the reader reads stays put."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from textual.events import Resize
from textual.geometry import Offset, Size
from textual.message import Message
from textual.reactive import var
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from qwen3_chat.transcript.column import Anchor, Column
from qwen3_chat.transcript.excerpt import Place, excerpt, hit
from qwen3_chat.transcript.turn import TURN
from qwen3_chat.ui.widgets.transcript_paint import Painter
from qwen3_chat.ui.widgets.transcript_styles import COMPONENT_NAMES, PREFIX, STYLES

GAP_CELLS = 1
"""Between the text and the scrollbar."""


class TranscriptView(ScrollView, can_focus=True):
    """Shows a column; turns that touch the screen are laid out, the heights of others may be estimates."""

    DEFAULT_CSS = STYLES
    COMPONENT_CLASSES = {f"{PREFIX}{name}" for name in COMPONENT_NAMES}

    following: var[bool] = var(True, init=False)
    """Whether the reader is at the end, and stays there as it grows."""
    unseen: var[bool] = var(False, init=False)
    """Whether something was written below the screen since the reader left the end."""

    @dataclass
    class FollowChanged(Message):
        """The reader left the end or came back to it, or there is something new below."""

        following: bool
        unseen: bool

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self.column = Column()
        self._painter = Painter(self)
        self._anchor = Anchor()
        self._top = 0
        self._laid_for = Size(0, 0)

    @property
    def screen_rows(self) -> int:
        """Rows that fit."""
        return max(1, self.scrollable_content_region.height)

    @property
    def shown_turns(self) -> range:
        """Turns that touch the screen."""
        first, last = (
            self.column.locate(self._top)[0],
            self.column.locate(self._top + self.screen_rows - 1)[0],
        )
        return range(first, last + 1)

    # where the reader is

    def place(self, turn: int, row: int, dirty: int | None = None) -> None:
        """Show a row of a turn on top, or the end if the reader follows; draw anew from `dirty` or all."""
        if self.column.width <= 0:
            return
        top = self.column.settle(turn, row, self.screen_rows, self.following)
        moved, self._top = top != self._top, top
        self._anchor = self.column.anchor(top)
        # Position and size without a layout of the screen: no widget gets another region.
        size = Size(self._laid_for.width, max(self.column.height, 1))
        if size != self.virtual_size:
            self.set_reactive(ScrollView.virtual_size, size)
            self.vertical_scrollbar.window_virtual_size = size.height
        self.set_reactive(ScrollView.scroll_y, float(top))
        self.set_reactive(ScrollView.scroll_target_y, float(top))
        self.vertical_scrollbar.position = top
        if dirty is None or moved:
            self.refresh()
        elif dirty < top + self.screen_rows:
            self.refresh_lines(max(dirty, top), self.screen_rows)

    def stay(self, dirty: int | None = None) -> None:
        """Place what is on top already, after something grew below it."""
        self.place(*self.column.locate(self._top), dirty=dirty)

    def keep(self, change: Callable[[], Iterable[int]]) -> None:
        """Run a change that returns the turns it gave another shape; the text on the top row stays there."""
        self.column.changed(change())
        self.place(*self.column.find(self._anchor))

    def leave_out(self, keys: Collection[int], note: str) -> None:
        """Grey the entries with these keys, with a note on each, and no others."""

        def change() -> Iterable[int]:
            for number, turn in enumerate(self.column.turns):
                left_out = note if turn.entry.key in keys else ""
                if turn.entry.left_out != left_out:
                    turn.replace(replace(turn.entry, left_out=left_out))
                    yield number

        self.keep(lambda: list(change()))

    def to_end(self) -> None:
        """Go to the end and stay there."""
        self.following = True
        self.place(0, 0)

    def watch_following(self, following: bool) -> None:
        """Tell, and forget what was unseen."""
        if following:
            self.set_reactive(TranscriptView.unseen, False)
        self.post_message(self.FollowChanged(following, self.unseen))

    def watch_unseen(self, unseen: bool) -> None:
        """Tell."""
        self.post_message(self.FollowChanged(self.following, unseen))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Count real rows from the old top up to a page; longer moves (drag, Home) go by estimates."""
        if self.scrollable_content_region.size != self._laid_for:
            return  # clamped to a new size: `on_resize` knows what was on top
        goal, top = round(new_value), self._top
        if abs(goal - top) <= self.screen_rows:
            self.following = self.following and new_value >= old_value
            turn, row = self.column.locate(top)
            self.place(turn, row + goal - top)
            self.following = new_value >= old_value and self._top + self.screen_rows >= self.column.height
        else:
            self.following = new_value >= self.max_scroll_y
            self.place(*self.column.locate(goal))

    def on_resize(self, event: Resize) -> None:
        """Wrap anew, around what is on top."""
        self._laid_for = self.scrollable_content_region.size
        width = max(0, self._laid_for.width - GAP_CELLS)
        if width != self.column.width:
            self.column.resize(width)
        self.place(*self.column.find(self._anchor))

    def scroll_end(self, **options: Any) -> None:
        """Go to the end at once, wherever it turns out to be."""
        self.to_end()

    def _scroll_to(self, x: float | None = None, y: float | None = None, **options: Any) -> bool:
        # An animation would set absolute heights, against the corrections of estimates.
        return super()._scroll_to(x, y, **{**options, "animate": False})

    def _size_updated(
        self, size: Size, virtual_size: Size, container_size: Size, layout: bool = True
    ) -> bool:
        # Asked on each layout of the screen, so with each key typed into an input. The stock answer compares
        # with sizes that no line widget has, and draws the scrollbar anew each time.
        return size != self._size and super()._size_updated(size, virtual_size, container_size, layout)

    # what it looks like

    def render_line(self, y: int) -> Strip:
        """Draw one row of the screen."""
        turn, row = self.column.row(self._top + y)
        span = None
        if row is not None and (selection := self.text_selection) is not None:
            span = selection.get_span(turn * TURN + row.logical)
        return self._painter.strip(row, self.column.width, span)

    def notify_style_update(self) -> None:
        """Take over the colours of another theme; the layout holds."""
        super().notify_style_update()
        self._painter.forget()

    # selection: an offset counts characters of the unwrapped text, so it survives scrolling and wrapping

    def offset_at(self, x: int, y: int) -> Offset:
        """Character at a cell of the content: its offset in the logical row, and the number of that row."""
        if not self.column.turns:
            return Offset(0, 0)
        place = hit(self.column, x, self._top + y).place
        return Offset(place.offset, place.logical)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Source of the selected text."""
        start, end = selection
        first = Place(start.y, start.x) if start is not None else Place(0, 0)
        last = Place(end.y, end.x) if end is not None else Place(len(self.column.turns) * TURN, 0)
        return excerpt(self.column, first, last), "\n"
