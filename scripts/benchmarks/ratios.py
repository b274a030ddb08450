"""A table in which every row is a ratio of two sides measured in one run."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_HEADS = ("", "this app", "beside it", "ratio", "quartiles", "wanted")
_WIDTHS = (48, 13, 13, 8, 17, 9)


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured on both sides, round by round; `wanted` is a bound on the ratio such as `>=0.97`."""

    what: str
    unit: str
    ours: Sequence[float]
    theirs: Sequence[float]
    wanted: str = ""

    @property
    def ratios(self) -> list[float]:
        """The ratio of each round; one figure on a side is compared with every one on the other."""
        length = max(len(self.ours), len(self.theirs))
        ours, theirs = (side if len(side) > 1 else list(side) * length for side in (self.ours, self.theirs))
        return [mine / other for mine, other in zip(ours, theirs, strict=True) if other]

    @property
    def ratio(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.ratios)

    @property
    def is_met(self) -> bool:
        """Whether the ratio is as wanted."""
        bound, limit = self.wanted[:2], self.wanted[2:]
        return not self.wanted or (
            self.ratio >= float(limit) if bound == ">=" else self.ratio <= float(limit)
        )


def table(rows: Iterable[Row]) -> str:
    """Write the rows below a header; what is not as wanted is marked."""
    return "\n".join([_line(_HEADS), *map(line, rows)])


def line(row: Row) -> str:
    """Write one row."""
    return _line(_cells(row))


def _cells(row: Row) -> tuple[str, ...]:
    ratios = row.ratios
    low, high = (
        (statistics.quantiles(ratios, n=4, method="inclusive")[index] for index in (0, 2))
        if len(ratios) > 1
        else (ratios[0], ratios[0])
    )
    return (
        row.what,
        *(f"{_figure(statistics.median(side))} {row.unit}".strip() for side in (row.ours, row.theirs)),
        f"{row.ratio:.3f}",
        f"{low:.3f} to {high:.3f}" if len(ratios) > 1 else "",
        row.wanted + ("" if row.is_met else " !"),
    )


def _figure(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _line(cells: Sequence[str]) -> str:
    first, *others = (cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
    return "  ".join([first.strip().ljust(_WIDTHS[0]), *others]).rstrip()
