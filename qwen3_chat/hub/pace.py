"""How fast bytes arrive, smoothed, with the time that is left."""

from __future__ import annotations

import math

MEMORY_S = 5.0
"""What arrived this long ago weighs a third."""


class Pace:
    """A moving average of the speed, weighted by time: steady between bursts, quick to forget a stall."""

    def __init__(self) -> None:
        self._begun_s: float | None = None
        self._last_s = 0.0
        self._average = 0.0

    def feed(self, arrived_bytes: int, at_s: float) -> None:
        """Note that so many bytes arrived since the last call."""
        if self._begun_s is None:
            self._begun_s = self._last_s = at_s
            return
        elapsed_s = at_s - self._last_s
        if elapsed_s <= 0:
            self._average += arrived_bytes / MEMORY_S
            return
        self._last_s = at_s
        fading = math.exp(-elapsed_s / MEMORY_S)
        self._average = self._average * fading + arrived_bytes / elapsed_s * (1 - fading)

    @property
    def bytes_per_s(self) -> float:
        """The speed; 0 before there is one. The average starts at 0, which is taken out again."""
        if self._begun_s is None or self._last_s <= self._begun_s:
            return 0.0
        return self._average / -math.expm1(-(self._last_s - self._begun_s) / MEMORY_S)

    def left_s(self, missing_bytes: int) -> float | None:
        """Return the time that the rest takes at this speed; None while it can't be known."""
        return missing_bytes / self.bytes_per_s if self.bytes_per_s >= 1 else None
