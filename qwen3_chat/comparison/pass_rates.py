"""Pass k of n: the interval that a rate lies in, and whether two rates really differ.

The interval is Wilson's, which also holds for few cases and for none or all of them passed; the interval of a
difference is Newcombe's, made of two of these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

_Z: Final = 1.959964  # 95 % of a normal distribution


@dataclass(frozen=True, slots=True)
class PassRate:
    """So many passed of so many."""

    passed: int
    of: int

    @property
    def rate(self) -> float:
        """The share that passed; 0 of none."""
        return self.passed / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The lowest and the highest rate that this result fits, at 95 %."""
        if not self.of:
            return 0.0, 1.0
        spread = _Z**2 / self.of
        middle = (self.rate + spread / 2) / (1 + spread)
        half = _Z / (1 + spread) * math.sqrt(self.rate * (1 - self.rate) / self.of + spread / (4 * self.of))
        return max(0.0, middle - half), min(1.0, middle + half)

    def difference(self, other: PassRate) -> tuple[float, float]:
        """Return the lowest and the highest difference to another rate that both results fit, at 95 %."""
        (low, high), (other_low, other_high) = self.interval, other.interval
        difference = self.rate - other.rate
        return (
            difference - math.hypot(self.rate - low, other_high - other.rate),
            difference + math.hypot(high - self.rate, other.rate - other_low),
        )

    def is_noise_beside(self, other: PassRate) -> bool:
        """Return True if the difference to another rate may be chance."""
        low, high = self.difference(other)
        return low <= 0 <= high

    def is_regression_from(self, baseline: PassRate) -> bool:
        """Return True if this rate is lower than all that the result of the baseline fits."""
        return self.of > 0 and baseline.of > 0 and self.rate < baseline.interval[0]
