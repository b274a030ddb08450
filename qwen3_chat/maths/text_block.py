"""A block of text of some rows, one of which is the line on which its neighbours stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len

_TALL: Final = {
    "(": "⎛⎜⎝",
    ")": "⎞⎟⎠",
    "[": "⎡⎢⎣",
    "]": "⎤⎥⎦",
    "⌊": "⎢⎢⎣",
    "⌋": "⎥⎥⎦",
    "⌈": "⎡⎢⎢",
    "⌉": "⎤⎥⎥",
    "|": "│││",
    "‖": "║║║",
    "{": "⎧⎪⎩",
    "}": "⎫⎪⎭",
}
"""The characters of a tall delimiter: top, middle, bottom."""
_MIDDLE_OF_BRACE: Final = {"{": "⎨", "}": "⎬"}


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Rows of equal width in cells; `baseline` is the index of the row on which the neighbours stand."""

    rows: tuple[str, ...]
    baseline: int = 0

    @property
    def width(self) -> int:
        """The width in cells."""
        return cell_len(self.rows[0])

    @property
    def height(self) -> int:
        """The number of rows."""
        return len(self.rows)


def aligned(rows: Iterable[str], alignment: str = "c", width: int = 0) -> tuple[str, ...]:
    """Return rows of equal width, each at the left, at the right or in the centre."""
    texts = [*rows]
    width = max(width, *map(cell_len, texts))
    padded = []
    for text in texts:
        free = width - cell_len(text)
        before = {"l": 0, "r": free}.get(alignment, free // 2)
        padded.append(" " * before + text + " " * (free - before))
    return tuple(padded)


def beside(blocks: Sequence[TextBlock]) -> TextBlock:
    """Return blocks side by side on one baseline."""
    if len(blocks) == 1:
        return blocks[0]
    above = max(block.baseline for block in blocks)
    below = max(block.height - block.baseline for block in blocks)
    columns = []
    for block in blocks:
        blank = (" " * block.width,)
        first = above - block.baseline
        columns.append(blank * first + block.rows + blank * (below + above - first - block.height))
    return TextBlock(tuple(map("".join, zip(*columns, strict=True))), above)


def above_one_another(blocks: Sequence[TextBlock], baseline_block: int, alignment: str = "c") -> TextBlock:
    """Return blocks from top to bottom; the baseline is that of one of them."""
    width = max(block.width for block in blocks)
    rows = [row for block in blocks for row in aligned(block.rows, alignment, width)]
    before = sum(block.height for block in blocks[:baseline_block])
    return TextBlock(tuple(rows), before + blocks[baseline_block].baseline)


def delimiter(mark: str, block: TextBlock) -> TextBlock:
    """Return a delimiter as tall as a block."""
    height = block.height
    if height == 1 or mark not in _TALL:
        blank = (" " * cell_len(mark),)
        rows = blank * block.baseline + (mark,) + blank * (height - block.baseline - 1)
        return TextBlock(rows, block.baseline)
    forms = _TALL[mark]
    marks = [forms[0], *[forms[1]] * (height - 2), forms[2]]
    if height > 2 and mark in _MIDDLE_OF_BRACE:
        marks[min(max(block.baseline, 1), height - 2)] = _MIDDLE_OF_BRACE[mark]
    return TextBlock(tuple(marks), block.baseline)


def boxed(block: TextBlock) -> TextBlock:
    """Return a block in a frame."""
    rule = "─" * (block.width + 2)
    rows = (f"┌{rule}┐", *(f"│ {row} │" for row in block.rows), f"└{rule}┘")
    return TextBlock(rows, block.baseline + 1)
