"""How long a source is waited for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits of waiting; `attempts` counts rounds over all sources in which no byte arrived."""

    connect_s: float = 10
    stall_s: float = 30
    listing_s: float = 20
    next_source_s: float = 3
    attempts: int = 6
    first_wait_s: float = 0.5
    longest_wait_s: float = 60
    lock_poll_s: float = 0.5

    def wait_s(self, attempt: int) -> float:
        """Return the pause after a fruitless round, twice as long each time."""
        return min(self.first_wait_s * 2.0**attempt, self.longest_wait_s)


USUAL_PATIENCE = Patience()
