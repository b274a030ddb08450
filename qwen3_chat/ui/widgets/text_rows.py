"""A text of any length to scroll through, of which only the rows on the screen are drawn."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import chop_cells
from rich.segment import Segment
from textual.geometry import Size
from textual.strip import Strip

from qwen3_chat.ui.textual_compat import SteadyScrollView

INDENT = "    "


class TextRows(SteadyScrollView, can_focus=True):
    """The rows of a text, cut to the width of the widget wherever a line is longer."""

    DEFAULT_CSS = """
    TextRows { height: auto; background: $surface; color: $foreground; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._text = ""
        self._rows_width = 0
        self._rows: tuple[str, ...] = ()

    def show(self, text: str) -> None:
        """Show another text from its beginning."""
        self._text, self._rows_width = text, 0
        self.scroll_home(animate=False)
        self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the number of rows at a width."""
        return len(self._layout(width))

    def on_resize(self) -> None:
        """Cut the text anew where the width has changed."""
        self._update_size()

    def render_line(self, y: int) -> Strip:
        """Draw the row at `y` of the screen's part of the widget."""
        width = self.scrollable_content_region.width
        rows = self._layout(width)
        index = y + self.scroll_offset.y
        text = rows[index] if index < len(rows) else ""
        return Strip([Segment(text, self.rich_style)]).extend_cell_length(width, self.rich_style)

    def _update_size(self) -> None:
        width = self.scrollable_content_region.width
        self.virtual_size = Size(width, len(self._layout(width)))

    def _layout(self, width: int) -> tuple[str, ...]:
        if width != self._rows_width:
            self._rows_width = width
            self._rows = tuple(_cut(self._text, width))
        return self._rows


def _cut(text: str, width: int) -> Iterator[str]:
    """Cut lines into rows; the rows after a line's first are indented, so that none looks like a line."""
    row_width = max(2, width - len(INDENT))
    for line in text.split("\n"):
        if len(line) <= row_width // 2:
            yield line
            continue
        rows = (
            [line[start : start + row_width] for start in range(0, len(line), row_width)]
            if line.isascii()
            else chop_cells(line, row_width)
        )
        yield rows[0]
        yield from (INDENT + row for row in rows[1:])
