"""The text positions of a transcript: the character under the pointer, the source text between two
positions.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import get_character_cell_size

from qwen3_chat.transcript.cells import cell_width
from qwen3_chat.transcript.message_view import HEADER, MESSAGE_STRIDE, REASONING
from qwen3_chat.transcript.styled_rows import Action
from qwen3_chat.transcript.transcript_layout import TranscriptLayout

END = 1 << 60


@dataclass(frozen=True, slots=True, order=True)
class TextPosition:
    """A character: logical row over all turns, then offset in it."""

    logical: int
    offset: int


@dataclass(frozen=True, slots=True)
class PointerTarget:
    """What lies under a pointer."""

    message_index: int
    position: TextPosition
    action: Action | None = None


def target_at(layout: TranscriptLayout, x: int, y: int) -> PointerTarget:
    """Find the character at a cell; beside the text, the nearest one of that row."""
    turn, row = layout.row_at(max(0, min(y, layout.height - 1)))
    if row is None:
        return PointerTarget(turn, TextPosition((turn + 1) * MESSAGE_STRIDE - 1, 0))
    column_x, offset, action = 0, row.offset, None
    found = False
    for text, _, run_action, start in row.runs:
        end = column_x + cell_width(text)
        if column_x <= x < end:
            action = run_action
        if start >= 0 and (column_x <= x or not found):
            found, offset = True, start + _characters_within(text, x - column_x)
        column_x = end
    return PointerTarget(turn, TextPosition(turn * MESSAGE_STRIDE + row.logical, offset), action)


def selected_text(layout: TranscriptLayout, start: TextPosition, end: TextPosition) -> str:
    """Text from one place to another, not wrapped, without bullets and bars.

    Entries that lie inside as a whole give their source; they need no layout.
    """
    parts: list[str] = []
    last = min(end.logical // MESSAGE_STRIDE, len(layout.message_views) - 1)
    for number in range(max(0, start.logical) // MESSAGE_STRIDE, last + 1):
        base = number * MESSAGE_STRIDE
        if start <= TextPosition(base, 0) and end.logical >= base + MESSAGE_STRIDE:
            parts.append(layout.message_views[number].answer.strip("\n"))
            continue
        lines: list[str] = []
        for section, page in layout.layout(number).sections.items():
            for logical, text in enumerate(page.logical_texts, base + page.first_logical):
                if not start.logical <= logical <= end.logical or logical == base + REASONING:
                    continue
                if section == HEADER and end.logical > base + HEADER:
                    continue  # a name is copied only for its own sake
                first = start.offset if logical == start.logical else 0
                lines.append(text[first : end.offset if logical == end.logical else None])
        if lines:
            parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _characters_within(text: str, width: int) -> int:
    """Count the characters that end at or before a width in cells."""
    if text.isascii():
        return max(0, min(width, len(text)))
    used = 0
    for count, character in enumerate(text):
        used += get_character_cell_size(character)
        if used > width:
            return count
    return len(text)
