"""A screen on which text of a transcript can be selected with the mouse, to the character."""

from __future__ import annotations

from textual.errors import NoWidget
from textual.geometry import Offset
from textual.screen import Screen, ScreenResultType
from textual.widget import Widget

from qwen3_chat.ui.widgets.transcript import Transcript


class TranscriptScreen(Screen[ScreenResultType]):
    """Base of screens with a transcript.

    Textual finds the character under the pointer by marking every segment with its offset, which makes every
    style unique and leaves decoration without an offset. A transcript knows the answer itself.
    """

    def get_widget_and_offset_at(self, x: int, y: int) -> tuple[Widget | None, Offset | None]:
        """Ask the transcript which character lies at a cell of the screen."""
        try:
            widget, region = self.get_widget_at(x, y)
        except NoWidget:
            return None, None
        if not isinstance(widget, Transcript):
            return super().get_widget_and_offset_at(x, y)
        return widget, widget.offset_at(x - region.x - widget.gutter.left, y - region.y - widget.gutter.top)
