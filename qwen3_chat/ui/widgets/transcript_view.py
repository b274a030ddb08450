"""A scroll view over laid-out messages: what it shows is exact, what the reader reads stays put."""

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

from qwen3_chat.transcript.message_view import MESSAGE_STRIDE
from qwen3_chat.transcript.text_positions import TextPosition, selected_text, target_at
from qwen3_chat.transcript.transcript_layout import Anchor, TranscriptLayout
from qwen3_chat.ui.widgets.transcript_painter import RowPainter
from qwen3_chat.ui.widgets.transcript_styles import COMPONENT_NAMES, COMPONENT_PREFIX, TRANSCRIPT_CSS

GAP_CELLS = 1
"""Between the text and the scrollbar."""


class TranscriptView(ScrollView, can_focus=True):
    """Shows a column; turns that touch the screen are laid out, the heights of others may be estimates."""

    DEFAULT_CSS = TRANSCRIPT_CSS
    COMPONENT_CLASSES = {f"{COMPONENT_PREFIX}{name}" for name in COMPONENT_NAMES}

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
        self.transcript_layout = TranscriptLayout()
        self._painter = RowPainter(self)
        self._anchor = Anchor()
        self._top = 0
        self._layout_size = Size(0, 0)

    @property
    def screen_rows(self) -> int:
        """Rows that fit."""
        return max(1, self.scrollable_content_region.height)

    @property
    def visible_views(self) -> range:
        """Turns that touch the screen."""
        first, last = (
            self.transcript_layout.locate(self._top)[0],
            self.transcript_layout.locate(self._top + self.screen_rows - 1)[0],
        )
        return range(first, last + 1)

    # where the reader is

    def scroll_to_row(self, turn: int, row: int, dirty: int | None = None) -> None:
        """Show a row of a turn on top, or the end if the reader follows; draw anew from `dirty` or all."""
        if self.transcript_layout.width <= 0:
            return
        top = self.transcript_layout.layout_screen(turn, row, self.screen_rows, self.following)
        moved, self._top = top != self._top, top
        self._anchor = self.transcript_layout.anchor_at(top)
        # Position and size without a layout of the screen: no widget gets another region.
        size = Size(self._layout_size.width, max(self.transcript_layout.height, 1))
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

    def keep_position(self, dirty: int | None = None) -> None:
        """Place what is on top already, after something grew below it."""
        self.scroll_to_row(*self.transcript_layout.locate(self._top), dirty=dirty)

    def apply_change(self, change: Callable[[], Iterable[int]]) -> None:
        """Run a change that returns the turns it gave another shape; the text on the top row stays there."""
        self.transcript_layout.reestimate(change())
        self.scroll_to_row(*self.transcript_layout.locate_anchor(self._anchor))

    def grey_out(self, keys: Collection[int], note: str) -> None:
        """Grey the entries with these keys, with a note on each, and no others."""

        def change() -> Iterable[int]:
            for number, turn in enumerate(self.transcript_layout.message_views):
                left_out = note if turn.entry.key in keys else ""
                if turn.entry.dropped_note != left_out:
                    turn.set_entry(replace(turn.entry, dropped_note=left_out))
                    yield number

        self.apply_change(lambda: list(change()))

    def to_end(self) -> None:
        """Go to the end and stay there."""
        self.following = True
        self.scroll_to_row(0, 0)

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
        if self.scrollable_content_region.size != self._layout_size:
            return  # clamped to a new size: `on_resize` knows what was on top
        goal, top = round(new_value), self._top
        if abs(goal - top) <= self.screen_rows:
            self.following = self.following and new_value >= old_value
            turn, row = self.transcript_layout.locate(top)
            self.scroll_to_row(turn, row + goal - top)
            self.following = (
                new_value >= old_value and self._top + self.screen_rows >= self.transcript_layout.height
            )
        else:
            self.following = new_value >= self.max_scroll_y
            self.scroll_to_row(*self.transcript_layout.locate(goal))

    def on_resize(self, event: Resize) -> None:
        """Wrap anew, around what is on top."""
        self._layout_size = self.scrollable_content_region.size
        width = max(0, self._layout_size.width - GAP_CELLS)
        if width != self.transcript_layout.width:
            self.transcript_layout.resize(width)
        self.scroll_to_row(*self.transcript_layout.locate_anchor(self._anchor))

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
        turn, row = self.transcript_layout.row_at(self._top + y)
        span = None
        if row is not None and (selection := self.text_selection) is not None:
            span = selection.get_span(turn * MESSAGE_STRIDE + row.logical)
        return self._painter.strip(row, self.transcript_layout.width, span)

    def notify_style_update(self) -> None:
        """Take over the colours of another theme; the layout holds."""
        super().notify_style_update()
        self._painter.clear()

    # selection: an offset counts characters of the unwrapped text, so it survives scrolling and wrapping

    def offset_at(self, x: int, y: int) -> Offset:
        """Character at a cell of the content: its offset in the logical row, and the number of that row."""
        if not self.transcript_layout.message_views:
            return Offset(0, 0)
        place = target_at(self.transcript_layout, x, self._top + y).position
        return Offset(place.offset, place.logical)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Source of the selected text."""
        start, end = selection
        first = TextPosition(start.y, start.x) if start is not None else TextPosition(0, 0)
        last = (
            TextPosition(end.y, end.x)
            if end is not None
            else TextPosition(len(self.transcript_layout.message_views) * MESSAGE_STRIDE, 0)
        )
        return selected_text(self.transcript_layout, first, last), "\n"
