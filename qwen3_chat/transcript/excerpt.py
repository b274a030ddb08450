"""The text between two places of a transcript, as its source has it."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import get_character_cell_size

from qwen3_chat.transcript.cells import cells
from qwen3_chat.transcript.column import Column
from qwen3_chat.transcript.rows import Action
from qwen3_chat.transcript.turn import HEADER, REASONING, TURN

END = 1 << 60


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A character: logical row over all turns, then offset in it."""

    logical: int
    offset: int


@dataclass(frozen=True, slots=True)
class Hit:
    """What lies under a pointer."""

    turn: int
    place: Place
    action: Action | None = None


def hit(column: Column, x: int, y: int) -> Hit:
    """Find the character at a cell; beside the text, the nearest one of that row."""
    turn, row = column.row(max(0, min(y, column.height - 1)))
    if row is None:
        return Hit(turn, Place((turn + 1) * TURN - 1, 0))
    column_x, offset, action = 0, row.offset, None
    found = False
    for text, _, run_action, start in row.runs:
        end = column_x + cells(text)
        if column_x <= x < end:
            action = run_action
        if start >= 0 and (column_x <= x or not found):
            found, offset = True, start + _characters(text, x - column_x)
        column_x = end
    return Hit(turn, Place(turn * TURN + row.logical, offset), action)


def excerpt(column: Column, start: Place, end: Place) -> str:
    """Text from one place to another, not wrapped, without bullets and bars.

    Entries that lie inside as a whole give their source; they need no layout.
    """
    parts: list[str] = []
    last = min(end.logical // TURN, len(column.turns) - 1)
    for number in range(max(0, start.logical) // TURN, last + 1):
        base = number * TURN
        if start <= Place(base, 0) and end.logical >= base + TURN:
            parts.append(column.turns[number].answer.strip("\n"))
            continue
        lines: list[str] = []
        for section, page in column.lay(number).pages.items():
            for logical, text in enumerate(page.texts, base + page.first):
                if not start.logical <= logical <= end.logical or logical == base + REASONING:
                    continue
                if section == HEADER and end.logical > base + HEADER:
                    continue  # a name is copied only for its own sake
                first = start.offset if logical == start.logical else 0
                lines.append(text[first : end.offset if logical == end.logical else None])
        if lines:
            parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _characters(text: str, width: int) -> int:
    """Count the characters that end at or before a width in cells."""
    if text.isascii():
        return max(0, min(width, len(text)))
    used = 0
    for count, character in enumerate(text):
        used += get_character_cell_size(character)
        if used > width:
            return count
    return len(text)
