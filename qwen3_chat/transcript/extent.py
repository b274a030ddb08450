"""How high a text will be at any width, guessed from its lines without wrapping them."""

from __future__ import annotations

SHORT_CELLS = 40
"""Lines up to this width count as one row each."""

Extent = tuple[int, int, float]
"""What is left of a text when only its height matters: lines, long lines among them, cells of the long ones.

A plain tuple, because garbage collections pass over tuples of numbers: a long chat keeps thousands.
"""


def extent(text: str) -> Extent:
    """Measure a text once; CJK characters have three bytes and two cells: about (characters + bytes) / 2."""
    text = text.strip("\n")
    if not text:
        return 0, 0, 0.0
    lengths = [*map(len, text.split("\n"))]
    cells = 1.0 if text.isascii() else (1 + len(text.encode("utf-8", "replace")) / len(text)) / 2
    short = int(SHORT_CELLS / cells)
    long = [length for length in lengths if length > short]
    return len(lengths), len(long), sum(long) * cells


def rows_at(measured: Extent, width: int) -> int:
    """Guess the rows at a width: a long line ends, on average, in the middle of its last row."""
    n_lines, n_long, long_cells = measured
    wrapped = long_cells / max(1, width - 2) + n_long / 2
    return n_lines - n_long + max(n_long, round(wrapped))
