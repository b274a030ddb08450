"""How high a text will be at any width, guessed from its lines without wrapping them."""

from __future__ import annotations

from dataclasses import dataclass

SHORT_CELLS = 40
"""Lines up to this width count as one row each."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What is left of a text when only its height matters."""

    n_lines: int
    n_long: int
    long_cells: float

    def rows(self, width: int) -> int:
        """Guess the rows at a width: a long line ends, on average, in the middle of its last row."""
        wrapped = self.long_cells / max(1, width - 2) + self.n_long / 2
        return self.n_lines - self.n_long + max(self.n_long, round(wrapped))


def extent(text: str) -> Extent:
    """Measure a text once; CJK characters have three bytes and two cells: about (characters + bytes) / 2."""
    text = text.strip("\n")
    if not text:
        return Extent(0, 0, 0)
    lengths = [*map(len, text.split("\n"))]
    cells = 1.0 if text.isascii() else (1 + len(text.encode("utf-8", "replace")) / len(text)) / 2
    long = [*filter(int(SHORT_CELLS / cells).__lt__, lengths)]
    return Extent(len(lengths), len(long), sum(long) * cells)
