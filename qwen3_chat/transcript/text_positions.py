"""The text positions of a transcript: the character under the pointer, the source between two positions."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from rich.cells import get_character_cell_size

from qwen3_chat.transcript.cells import cell_width
from qwen3_chat.transcript.message_view import HEADER, MESSAGE_STRIDE, REASONING
from qwen3_chat.transcript.section import Section
from qwen3_chat.transcript.styled_rows import Action, FormulaSource
from qwen3_chat.transcript.transcript_layout import TranscriptLayout


class TextPosition(Struct, frozen=True, order=True):
    """The position of a character: its logical row over all messages, then its offset in it."""

    logical_row: int
    offset: int


class PointerTarget(Struct, frozen=True):
    """The message, the character and the action under the pointer."""

    message_index: int
    position: TextPosition
    action: Action | None = None


def target_at(layout: TranscriptLayout, x: int, y: int) -> PointerTarget:
    """Return the target at a cell; beside the text, the nearest character of that row."""
    message_index, row = layout.row_at(max(0, min(y, layout.height - 1)))
    if row is None:
        return PointerTarget(message_index, TextPosition((message_index + 1) * MESSAGE_STRIDE - 1, 0))
    column, offset, action = 0, row.offset, None
    has_offset = False
    for text, _, run_action, start in row.runs:
        end = column + cell_width(text)
        if column <= x < end:
            action = run_action
        if start >= 0 and (column <= x or not has_offset):
            has_offset, offset = True, start + _characters_within(text, x - column)
        column = end
    position = TextPosition(message_index * MESSAGE_STRIDE + row.logical_row, offset)
    return PointerTarget(message_index, position, action)


def selected_text(layout: TranscriptLayout, start: TextPosition, end: TextPosition) -> str:
    """Return the text between two positions, not wrapped, without bullets and bars, formulas by their source.

    Messages that lie inside as a whole give their source; they need no layout.
    """
    parts: list[str] = []
    last = min(end.logical_row // MESSAGE_STRIDE, len(layout.message_views) - 1)
    for index in range(max(0, start.logical_row) // MESSAGE_STRIDE, last + 1):
        base = index * MESSAGE_STRIDE
        if start <= TextPosition(base, 0) and end.logical_row >= base + MESSAGE_STRIDE:
            parts.append(layout.message_views[index].whole_answer.strip("\n"))
            continue
        lines: list[str] = []
        for kind, section in layout.layout(index).sections.items():
            formulas = _formulas(section)
            for logical_row, text in enumerate(section.logical_texts, base + section.first_logical_row):
                if not start.logical_row <= logical_row <= end.logical_row or logical_row == base + REASONING:
                    continue
                if kind == HEADER and end.logical_row > base + HEADER:
                    continue  # a header is copied only if the selection ends in it
                first = start.offset if logical_row == start.logical_row else 0
                last = min(len(text), end.offset) if logical_row == end.logical_row else len(text)
                lines.append(_with_formula_sources(text, formulas.get(logical_row - base, ()), first, last))
        if lines:
            parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _formulas(section: Section) -> dict[int, list[tuple[int, int, FormulaSource]]]:
    """Return where the drawn formulas are in each logical row: first character, end, source."""
    found: dict[int, list[tuple[int, int, FormulaSource]]] = {}
    for row in section.rows:
        for text, _, action, offset in row.runs:
            if isinstance(action, FormulaSource):
                formulas = found.setdefault(row.logical_row, [])
                first = offset
                if formulas and formulas[-1][2] is action:  # it goes on in this row
                    first, _, _ = formulas.pop()
                formulas.append((first, offset + len(text), action))
    return found


def _with_formula_sources(
    text: str, formulas: Iterable[tuple[int, int, FormulaSource]], start: int, end: int
) -> str:
    """Return a part of a text in which each formula that is touched is its whole source."""
    parts: list[str] = []
    for first, last, source in formulas:
        if first < end and last > start:
            parts += text[start:first], source.text
            start = last
    return "".join([*parts, text[start:end]])


def _characters_within(text: str, width: int) -> int:
    """Return the number of characters that end at or before a width in cells."""
    if text.isascii():
        return max(0, min(width, len(text)))
    used_cells = 0
    for count, character in enumerate(text):
        used_cells += get_character_cell_size(character)
        if used_cells > width:
            return count
    return len(text)
