"""The one check of a number that somebody chose: finite, of the right kind, within its range."""

from __future__ import annotations

from msgspec import Struct

_MAX_DIGITS = 40


class NumberRange(Struct, frozen=True):
    """The numbers from `minimum` to `maximum`, both included."""

    minimum: float
    maximum: float
    is_whole: bool = False
    """True where only whole numbers are allowed."""

    def __contains__(self, value: object) -> bool:
        """Return whether a value is such a number; NaN is none, and neither is True."""
        if isinstance(value, bool) or not isinstance(value, int if self.is_whole else int | float):
            return False
        return self.minimum <= value <= self.maximum  # false for NaN

    def parse(self, text: str) -> float | int | None:
        """Return the number that a text writes; None where it writes none of this range."""
        text = text.strip()
        if len(text) > _MAX_DIGITS:
            return None
        try:
            value = int(text) if self.is_whole else float(text)
        except ValueError:
            return None
        return value if value in self else None
