"""How many threads decode fastest, by what was measured lately."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Sequence

_REMEMBERED = 3
_WORTH_A_CHANGE = 0.9


class ThreadChoice:
    """Keeps the latest times of each candidate, so that a burst of other work is forgotten as it passes.

    `first` is the choice until there are any, `first_for_prompts` as long as it stays the best.
    """

    def __init__(self, candidates: Sequence[int], first: int, first_for_prompts: int) -> None:
        self.candidates = tuple(candidates)
        self.best = first
        self._first = first
        self._first_for_prompts = first_for_prompts
        self._times_s: dict[int, deque[float]] = {
            candidate: deque(maxlen=_REMEMBERED) for candidate in {*candidates, first}
        }

    @property
    def best_for_prompts(self) -> int:
        """How many threads to evaluate prompts with."""
        return self._first_for_prompts if self.best == self._first else self.best

    def note(self, n_threads: int, token_s: float) -> None:
        """Take in how long a token took; another number than before has to be a tenth faster."""
        self._times_s[n_threads].append(token_s)
        medians = {count: statistics.median(times) for count, times in self._times_s.items() if times}
        fastest = min(medians, key=medians.__getitem__)
        if self.best not in medians or medians[fastest] < _WORTH_A_CHANGE * medians[self.best]:
            self.best = fastest
