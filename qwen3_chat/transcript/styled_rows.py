"""Rows of a laid-out text: runs with style names, an action and their offset in the unwrapped text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from qwen3_chat.transcript.cells import TAB_CELLS, cell_width

if TYPE_CHECKING:
    from qwen3_chat.transcript.code_highlighting import HighlightedCode


BEYOND_TEXT = 1 << 30


@dataclass(frozen=True, slots=True)
class OpenLink:
    """A click asks for this address."""

    url: str


@dataclass(frozen=True, slots=True)
class FoldThinking:
    """A click folds or unfolds the thinking of its entry."""


@dataclass(frozen=True, slots=True)
class CopyAnswer:
    """A click copies the source of its entry."""


@dataclass(frozen=True, slots=True)
class CopyCode:
    """A click copies one code block of its entry, counted from 0."""

    number: int


Action: TypeAlias = OpenLink | FoldThinking | CopyAnswer | CopyCode

# Plain tuples, because the garbage collector does not track tuples of strings and numbers:
# a long chat holds a hundred thousand of them.
Run: TypeAlias = tuple[str, str, Action | None]
"""Text, style names divided by spaces, action."""
PositionedRun: TypeAlias = tuple[str, str, Action | None, int]
"""A run and its offset in the logical row, -1 for decoration."""


@dataclass(slots=True, eq=False)
class Row:
    """One screen row of a logical row. It names styles only, so a change of theme needs no new layout."""

    runs: tuple[PositionedRun, ...]
    logical: int
    code: HighlightedCode | None = None
    code_row: int = 0

    @property
    def offset(self) -> int:
        """Offset of the first character shown, in the logical row; `BEYOND_TEXT` where all is decoration."""
        return next((run[3] for run in self.runs if run[3] >= 0), BEYOND_TEXT)


def runs_text(runs: list[Run]) -> str:
    """Text of the runs."""
    return "".join(run[0] for run in runs)


def position_run(
    text: str, style: str, action: Action | None, offset: int, column: int
) -> list[PositionedRun]:
    """Place a text that starts at `column` of its row; each tab becomes a run of spaces up to its stop."""
    if "\t" not in text:
        return [(text, style, action, offset)]
    out: list[PositionedRun] = []
    for part in text.split("\t"):
        if out:
            gap = TAB_CELLS - column % TAB_CELLS
            out.append((" " * gap, style, action, offset - 1))
            column += gap
        out.append((part, style, action, offset))
        column += cell_width(part)
        offset += len(part) + 1
    return [run for run in out if run[0]]


def slice_runs(runs: list[Run], start: int, end: int) -> list[PositionedRun]:
    """Place the part of the runs between two offsets, without the spaces at its end."""
    out: list[PositionedRun] = []
    at = column = 0
    for text, names, action in runs:
        if at < end and at + len(text) > start:
            pieces = position_run(text[max(0, start - at) : end - at], names, action, max(at, start), column)
            column += sum(cell_width(piece[0]) for piece in pieces)
            out += pieces
        at += len(text)
    while out and not (last := out[-1][0].rstrip()):
        out.pop()
    if out:
        out[-1] = (last, *out[-1][1:])
    return [run for run in out if run[0]]
