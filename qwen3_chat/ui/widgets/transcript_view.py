"""The scroll view over laid-out messages: the rows shown are exact, and what is being read never moves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from textual.events import Resize
from textual.geometry import Offset, Size
from textual.message import Message
from textual.reactive import var
from textual.strip import Strip
from textual.timer import Timer

from qwen3_chat.highlighting.highlighted_code import HighlightedCode
from qwen3_chat.highlighting.highlighter import Highlighter
from qwen3_chat.record_copies import replace
from qwen3_chat.transcript.message_view import MESSAGE_STRIDE
from qwen3_chat.transcript.text_positions import TextPosition, selected_text, target_at
from qwen3_chat.transcript.transcript_layout import Anchor, TranscriptLayout
from qwen3_chat.ui.textual_compat import Selection, SteadyScrollView
from qwen3_chat.ui.widgets.transcript_painter import RowPainter
from qwen3_chat.ui.widgets.transcript_styles import COMPONENT_NAMES, COMPONENT_PREFIX, TRANSCRIPT_CSS

GAP_CELLS = 1
"""The gap between the text and the scrollbar."""
SLOW_TO_WRAP_CHARACTERS = 50_000
"""The length from which text takes so long to wrap that it is not done for each size of a moving window."""
REST_S = 0.15
"""The time without another size after which long text is wrapped."""


class TranscriptView(SteadyScrollView, can_focus=True):
    """A scroll view over a transcript's layout.

    The messages that touch the screen are laid out; the heights of the others may be estimates.
    """

    DEFAULT_CSS = TRANSCRIPT_CSS
    COMPONENT_CLASSES = {f"{COMPONENT_PREFIX}{name}" for name in COMPONENT_NAMES}

    following: var[bool] = var(True, init=False)
    """True while the reader is at the end, where the view then stays as the text grows."""
    unseen: var[bool] = var(False, init=False)
    """True if there is new text below the screen since the reader left the end."""

    class FollowChanged(Message):
        """The message that the reader left or reached the end, or that there is new text below."""

        def __init__(self, following: bool, unseen: bool) -> None:
            super().__init__()
            self.following = following
            self.unseen = unseen

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self.transcript_layout = TranscriptLayout()
        self.highlighter: Highlighter | None = None
        """The source of the colours of code, which is plain without one."""
        self._painter = RowPainter(self, self._request_colours)
        self._anchor = Anchor()
        self._top = 0
        self._layout_size = Size(0, 0)
        self._rest: Timer | None = None
        """The timer until long text is wrapped to the last size; None while none waits."""

    @property
    def screen_rows(self) -> int:
        """The number of rows that fit."""
        return max(1, self.scrollable_content_region.height)

    @property
    def visible_views(self) -> range:
        """The indices of the messages that touch the screen."""
        first, last = (
            self.transcript_layout.locate(self._top)[0],
            self.transcript_layout.locate(self._top + self.screen_rows - 1)[0],
        )
        return range(first, last + 1)

    # the reader's position

    def scroll_to_row(self, index: int, row: int, dirty: int | None = None) -> None:
        """Show a row of a message on top, or the end while the reader follows it.

        The rows are drawn again from the row `dirty`, or all of them if it is None.
        """
        if self.transcript_layout.width <= 0:
            return
        top = self.transcript_layout.layout_screen(index, row, self.screen_rows, self.following)
        moved, self._top = top != self._top, top
        self._anchor = self.transcript_layout.anchor_at(top)
        self.scroll_without_layout(Size(self._layout_size.width, max(self.transcript_layout.height, 1)), top)
        if dirty is None or moved:
            self.refresh()
        elif dirty < top + self.screen_rows:
            self.refresh_lines(max(dirty, top), self.screen_rows)

    def keep_position(self, dirty: int | None = None) -> None:
        """Keep the row on top after text has grown below it."""
        self.scroll_to_row(*self.transcript_layout.locate(self._top), dirty=dirty)

    def apply_change(self, change: Callable[[], Iterable[int]]) -> None:
        """Run a change that returns the indices of the messages it changed; the text on top stays there."""
        self.transcript_layout.reestimate(change())
        self.scroll_to_row(*self.transcript_layout.locate_anchor(self._anchor))

    def grey_out(self, keys: Collection[int], note: str) -> None:
        """Grey the entries with these keys, with a note on each, and only these."""

        def change() -> Iterable[int]:
            for index, view in enumerate(self.transcript_layout.message_views):
                dropped_note = note if view.entry.key in keys else ""
                if view.entry.dropped_note != dropped_note:
                    view.set_entry(replace(view.entry, dropped_note=dropped_note))
                    yield index

        self.apply_change(lambda: list(change()))

    def to_end(self) -> None:
        """Scroll to the end and stay there as the text grows."""
        self.following = True
        self.scroll_to_row(0, 0)

    def watch_following(self, following: bool) -> None:
        """Post the change; at the end nothing is unseen."""
        if following:
            self.set_reactive(TranscriptView.unseen, False)
        self.post_message(self.FollowChanged(following, self.unseen))

    def watch_unseen(self, unseen: bool) -> None:
        """Post that there is new text below, or no longer."""
        self.post_message(self.FollowChanged(self.following, unseen))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scroll by exact rows up to a page; longer moves (drag, Home) go by estimates."""
        if self.scrollable_content_region.size != self._layout_size:
            return  # clamped to a new size: `on_resize` restores the top row
        goal, top = round(new_value), self._top
        if abs(goal - top) <= self.screen_rows:
            self.following = self.following and new_value >= old_value
            index, row = self.transcript_layout.locate(top)
            self.scroll_to_row(index, row + goal - top)
            self.following = (
                new_value >= old_value and self._top + self.screen_rows >= self.transcript_layout.height
            )
        else:
            self.following = new_value >= self.max_scroll_y
            self.scroll_to_row(*self.transcript_layout.locate(goal))

    def on_resize(self, event: Resize) -> None:
        """Wrap the text to the new width; the text on top stays there.

        A long text keeps its rows until the size is the same for a moment: it takes seconds to wrap.
        """
        self._layout_size = self.scrollable_content_region.size
        if self._rest is not None:
            self._rest.stop()
        if self._shows_long_text and self.transcript_layout.width > 0:
            self._rest = self.set_timer(REST_S, self._wrap)
            self.scroll_to_row(*self.transcript_layout.locate_anchor(self._anchor))
        else:
            self._wrap()

    @property
    def _shows_long_text(self) -> bool:
        views = self.transcript_layout.message_views
        shown = [views[index] for index in self.visible_views] if views else []
        return sum(len(view.answer) + len(view.reasoning) for view in shown) > SLOW_TO_WRAP_CHARACTERS

    def _wrap(self) -> None:
        """Wrap the text to the width of the widget."""
        self._rest = None
        width = max(0, self._layout_size.width - GAP_CELLS)
        if width != self.transcript_layout.width:
            self.transcript_layout.resize(width)
        self.scroll_to_row(*self.transcript_layout.locate_anchor(self._anchor))

    def scroll_end(self, **options: Any) -> None:
        """Scroll to the end at once, without an animation."""
        self.to_end()

    def scroll_to(self, x: float | None = None, y: float | None = None, **options: Any) -> None:
        """Scroll to a row at once: an animation would set absolute heights against corrected estimates."""
        super().scroll_to(x, y, **{**options, "animate": False})

    # rendering

    def render_line(self, y: int) -> Strip:
        """Draw one row of the screen."""
        index, row = self.transcript_layout.row_at(self._top + y)
        span = None
        if row is not None and (selection := self.text_selection) is not None:
            span = selection.get_span(index * MESSAGE_STRIDE + row.logical_row)
        return self._painter.strip(row, self.transcript_layout.width, span)

    def _request_colours(self, code: HighlightedCode) -> None:
        if self.highlighter is not None:
            self.highlighter.request(code, self._draw_code)

    def _draw_code(self, code: HighlightedCode) -> None:
        """Draw the rows of a code block on the screen, whose colours are known now."""
        for y in range(self._top, self._top + self.screen_rows) if self.is_attached else ():
            _, row = self.transcript_layout.row_at(y)
            if row is not None and row.code is code:
                self.refresh_line(y)

    def notify_style_update(self) -> None:
        """Take over the colours of another theme; the layout stays valid."""
        super().notify_style_update()
        self._painter.clear()

    # selection: an offset counts characters of the unwrapped text, so it survives scrolling and wrapping

    def offset_at(self, x: int, y: int) -> Offset:
        """Return the character at a cell of the content: its offset in its logical row, the row's number."""
        if not self.transcript_layout.message_views:
            return Offset(0, 0)
        position = target_at(self.transcript_layout, x, self._top + y).position
        return Offset(position.offset, position.logical_row)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the source of the selected text."""
        start, end = selection
        first = TextPosition(start.y, start.x) if start is not None else TextPosition(0, 0)
        last = (
            TextPosition(end.y, end.x)
            if end is not None
            else TextPosition(len(self.transcript_layout.message_views) * MESSAGE_STRIDE, 0)
        )
        return selected_text(self.transcript_layout, first, last), "\n"
