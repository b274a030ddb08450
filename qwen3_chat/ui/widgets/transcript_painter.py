"""The painter of the transcript: rows as strips of segments, in the styles of a widget."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import islice

from rich.segment import Segment
from rich.style import Style
from textual.cache import LRUCache
from textual.strip import Strip
from textual.widget import Widget

from qwen3_chat.highlighting.highlighted_code import HighlightedCode
from qwen3_chat.transcript.cells import cell_width
from qwen3_chat.transcript.styled_rows import Row
from qwen3_chat.ui.widgets.transcript_styles import COMPONENT_NAMES, COMPONENT_PREFIX

MAX_CACHED_STRIPS = 200
# A strip is some twenty objects, and a full garbage collection is the slowest frame that a reader sees.

Piece = tuple[str, str, int]
"""A piece of a row: its text, its style names, its offset in the logical row."""


class RowPainter:
    """The painter of rows; it caches strips until the theme or the width changes."""

    def __init__(self, widget: Widget, on_uncoloured: Callable[[HighlightedCode], None]) -> None:
        """Draw in the styles of a widget; code whose colours are not known is reported before it is drawn."""
        self._widget = widget
        self._on_uncoloured = on_uncoloured
        self._width = 0
        self._styles: dict[str, Style] = {}
        self._strips: LRUCache[Row, Strip] = LRUCache(MAX_CACHED_STRIPS)

    def clear(self) -> None:
        """Clear the styles and strips of the current theme."""
        self._styles.clear()
        self._strips.clear()

    def strip(self, row: Row | None, width: int, span: tuple[int, int] | None) -> Strip:
        """Return a row as a strip; `span` is the selected part of its logical row, with -1 for its end."""
        if width != self._width:
            self._strips.clear()
            self._width = width
        if row is None:
            return Strip.blank(width, self._style(""))
        if span is None and (cached := self._strips.get(row)) is not None:
            return cached
        if row.code is not None and row.code.row_spans(row.code_row) is None:
            self._on_uncoloured(row.code)
        strip = self._draw(row, width, span)
        # Code that has no colours yet is drawn again when they are there.
        if span is None and (row.code is None or row.code.row_spans(row.code_row) is not None):
            self._strips[row] = strip
        return strip

    def _draw(self, row: Row, width: int, span: tuple[int, int] | None) -> Strip:
        segments: list[Segment] = []
        used, names = 0, ""
        for text, names, offset in _pieces(row):
            style = self._style(names)
            used += cell_width(text)
            if span is None or offset < 0:
                segments.append(Segment(text, style))
                continue
            start = max(0, span[0] - offset)
            end = len(text) if span[1] < 0 else max(start, span[1] - offset)
            parts = ((text[:start], style), (text[start:end], style + self._selected()), (text[end:], style))
            segments += [Segment(part, part_style) for part, part_style in parts if part]
        fill = names if names.startswith("code") and names != "code-inline" else ""
        segments.append(Segment(" " * max(0, width - used), self._style(fill)))
        strip = Strip(segments, max(used, width))
        return strip if used <= width else strip.crop(0, width)

    def _style(self, names: str) -> Style:
        if (style := self._styles.get(names)) is None:
            classes = (f"{COMPONENT_PREFIX}{name}" for name in names.split() if name in COMPONENT_NAMES)
            style = self._styles[names] = self._widget.get_visual_style(*classes).rich_style
        return style

    def _selected(self) -> Style:
        # Only the background: the foreground of the selection would hide the colours of code.
        return Style(bgcolor=self._widget.screen.get_component_rich_style("screen--selection").bgcolor)


def _pieces(row: Row) -> Iterator[Piece]:
    """Yield the runs of a row, divided where code changes its colour."""
    coloured = (row.code.row_spans(row.code_row) or ()) if row.code is not None else ()
    for text, names, _, offset in row.runs:
        done = 0
        first = bisect_right(coloured, offset, key=lambda span: span[1]) if offset >= 0 else len(coloured)
        for start, end, name in islice(coloured, first, None):
            if start >= offset + len(text):
                break
            start, end = max(start - offset, done), min(end - offset, len(text))
            if end > start:
                if start > done:
                    yield text[done:start], names, offset + done
                yield text[start:end], f"{names} {name}", offset + start
                done = end
        if done < len(text):
            yield text[done:], names, offset + done if offset >= 0 else -1
