"""A table in which every row is a ratio of two sides measured in one run."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_HEADERS = ("", "this app", "beside it", "ratio", "quartiles", "wanted")
_WIDTHS = (48, 13, 13, 8, 17, 9)


@dataclass(frozen=True, slots=True)
class Row:
    """The measurements of both sides, round by round; `bound` is one of the ratio, such as `>=0.97`."""

    name: str
    unit: str
    ours: Sequence[float]
    theirs: Sequence[float]
    bound: str = ""

    @property
    def ratios(self) -> list[float]:
        """The ratio of each round; a single figure on one side is compared with all of the other."""
        length = max(len(self.ours), len(self.theirs))
        ours, theirs = (side if len(side) > 1 else list(side) * length for side in (self.ours, self.theirs))
        return [mine / other for mine, other in zip(ours, theirs, strict=True) if other]

    @property
    def ratio(self) -> float:
        """The median ratio of the rounds."""
        return statistics.median(self.ratios)

    @property
    def is_met(self) -> bool:
        """True if the ratio is within the bound, or there is none."""
        operator, limit = self.bound[:2], self.bound[2:]
        return not self.bound or (
            self.ratio >= float(limit) if operator == ">=" else self.ratio <= float(limit)
        )


def table(rows: Iterable[Row]) -> str:
    """Return the rows below a header; those outside their bounds are marked."""
    return "\n".join([_line(_HEADERS), *map(line, rows)])


def line(row: Row) -> str:
    """Return one row as a line."""
    return _line(_cells(row))


def _cells(row: Row) -> tuple[str, ...]:
    ratios = row.ratios
    low, high = (
        (statistics.quantiles(ratios, n=4, method="inclusive")[index] for index in (0, 2))
        if len(ratios) > 1
        else (ratios[0], ratios[0])
    )
    return (
        row.name,
        *(f"{_figure(statistics.median(side))} {row.unit}".strip() for side in (row.ours, row.theirs)),
        f"{row.ratio:.3f}",
        f"{low:.3f} to {high:.3f}" if len(ratios) > 1 else "",
        row.bound + ("" if row.is_met else " !"),
    )


def _figure(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _line(cells: Sequence[str]) -> str:
    first, *others = (cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
    return "  ".join([first.strip().ljust(_WIDTHS[0]), *others]).rstrip()
