"""Rows of a laid-out text: runs with style names, an action and their offset in the unwrapped text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from qwen3_chat.transcript.cells import TAB_CELLS, cell_width

if TYPE_CHECKING:
    from qwen3_chat.highlighting.highlighted_code import HighlightedCode

BEYOND_TEXT = 1 << 30
"""The offset of a row that is all decoration."""


class OpenLink(Struct, frozen=True):
    """The action of a click that opens a URL."""

    url: str


class FoldThinking(Struct, frozen=True):
    """The action of a click that folds or unfolds the thinking of its message."""


class CopyAnswer(Struct, frozen=True):
    """The action of a click that copies the source of its message."""


class CopyCode(Struct, frozen=True):
    """The action of a click that copies a code block of its message, counted from 0."""

    number: int


class FormulaSource(Struct, frozen=True):
    """The source of the formula that a run shows, which is copied in its place; a click does nothing."""

    text: str


Action: TypeAlias = OpenLink | FoldThinking | CopyAnswer | CopyCode | FormulaSource

# Plain tuples, because the garbage collector does not track tuples of strings and numbers:
# a long chat holds a hundred thousand of them.
Run: TypeAlias = tuple[str, str, Action | None]
"""A text in one style: text, style names separated by spaces, action."""
PositionedRun: TypeAlias = tuple[str, str, Action | None, int]
"""A run with its offset in the logical row, -1 for decoration."""


class Row(Struct, eq=False):
    """A screen row of a logical row; it only names its styles, so a change of theme needs no new layout."""

    runs: tuple[PositionedRun, ...]
    logical_row: int
    code: HighlightedCode | None = None
    code_row: int = 0

    @property
    def offset(self) -> int:
        """The offset of the first character shown, in the logical row; `BEYOND_TEXT` if all is decoration."""
        return next((run[3] for run in self.runs if run[3] >= 0), BEYOND_TEXT)


def skip_characters(runs: list[Run], count: int) -> list[Run]:
    """Return runs without their first characters."""
    remaining: list[Run] = []
    for text, style, action in runs:
        if text[count:]:
            remaining.append((text[count:], style, action))
        count = max(0, count - len(text))
    return remaining


def runs_text(runs: list[Run]) -> str:
    """Return the text of runs."""
    return "".join(run[0] for run in runs)


def position_run(
    text: str, style: str, action: Action | None, offset: int, column: int
) -> list[PositionedRun]:
    """Return a text that starts at `column` as runs; a tab becomes a run of spaces up to its tab stop."""
    if "\t" not in text:
        return [(text, style, action, offset)]
    runs: list[PositionedRun] = []
    for part in text.split("\t"):
        if runs:
            tab_cells = TAB_CELLS - column % TAB_CELLS
            runs.append((" " * tab_cells, style, action, offset - 1))
            column += tab_cells
        runs.append((part, style, action, offset))
        column += cell_width(part)
        offset += len(part) + 1
    return [run for run in runs if run[0]]


def slice_rows(
    runs: list[Run], spans: Iterable[tuple[int, int]], base: int = 0
) -> Iterator[list[PositionedRun]]:
    """Yield the parts of the runs between each two offsets, in order; the first run is at offset `base`."""
    index = offset = 0
    for start, end in spans:
        while index < len(runs) and offset + len(runs[index][0]) <= start:
            offset += len(runs[index][0])
            index += 1
        last, last_offset = index, offset
        while last < len(runs) and last_offset < end:
            last_offset += len(runs[last][0])
            last += 1
        part = slice_runs(runs[index:last], start - offset, end - offset)
        yield [(text, style, action, base + offset + at) for text, style, action, at in part]


def slice_runs(runs: list[Run], start: int, end: int) -> list[PositionedRun]:
    """Return the part of the runs between two offsets, without the spaces at its end."""
    sliced: list[PositionedRun] = []
    offset = column = 0
    for text, style, action in runs:
        if offset < end and offset + len(text) > start:
            part = text[max(0, start - offset) : end - offset]
            pieces = position_run(part, style, action, max(offset, start), column)
            column += sum(cell_width(piece[0]) for piece in pieces)
            sliced += pieces
        offset += len(text)
    while sliced and not (last := sliced[-1][0].rstrip()):
        sliced.pop()
    if sliced:
        sliced[-1] = (last, *sliced[-1][1:])
    return [run for run in sliced if run[0]]
