"""Everything that decides what the training makes, besides the code of its data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and on how much the network is trained, and how fast it learns."""

    seed: int
    n_steps: int = 20_000
    n_bins: int = 8
    length: int = 5120
    matrix_rate: float = 0.02
    other_rate: float = 0.003
    warm_up: float = 0.005
    decay_from: float = 0.45
    average_decay: float = 0.99
    begin: float = 0.0
    """Where in the curriculum the training begins."""
    teaches_app_tools: bool = False
    """Whether its steps are those of `lessons.py`, which have a size of their own."""

    def progress(self, step: int) -> float:
        """Return how far in the curriculum a step is, from 0 to 1."""
        return self.begin + (1 - self.begin) * step / self.n_steps

    def rate(self, step: int) -> float:
        """Return the factor on the learning rates: a short warm-up, then constant, then falling to zero."""
        progress = (step + 1) / (self.n_steps + 1)
        return min(1.0, progress / self.warm_up, (1 - progress) / (1 - self.decay_from))
