"""How many threads decode the reply that is being written, when the speed collapses under other work."""

from __future__ import annotations

import statistics
from math import inf

from qwen3_chat.engine.worker.thread_choice import ThreadChoice

_WINDOW_TOKENS = 8
_COLLAPSED = 2.0
_BETTER = 0.9
_GROWTH = 1.02  # of the usual time, from window to window: a longer context takes longer
_PATIENCE_WINDOWS = 16


class ThreadGuard:
    """Watches the time of each token of one reply, by windows of a few.

    When a window takes twice as long as usual, the next lower number of threads is given a window to prove
    itself; as long as there are fewer than in the beginning, a higher one is, now and then.
    """

    def __init__(self, choice: ThreadChoice) -> None:
        self._choice = choice
        self._first = self._current = choice.best
        self._times_s: list[float] = []
        self._usual_s = inf
        self._patience = 0
        self._before: tuple[int, float] | None = None  # of a trial: the number of threads and its time

    def note(self, token_s: float) -> int | None:
        """Take in how long a token took; return how many threads to go on with, None for as many."""
        self._times_s.append(token_s)
        if len(self._times_s) < _WINDOW_TOKENS:
            return None
        window_s = statistics.median(self._times_s)
        self._times_s.clear()
        before = self._current
        self._current = self._decide(window_s)
        return None if self._current == before else self._current

    def _decide(self, window_s: float) -> int:
        if self._before:
            return self._judge(*self._before, window_s)
        self._usual_s = min(self._usual_s * _GROWTH, window_s)
        if self._patience:
            self._patience -= 1
            return self._current
        other = None
        if window_s > _COLLAPSED * self._usual_s:
            other = max((n for n in self._choice.candidates if n < self._current), default=None)
        elif self._current < self._first:
            other = min(n for n in (*self._choice.candidates, self._first) if n > self._current)
        if other is None:
            return self._current
        self._before = (self._current, window_s)
        return other

    def _judge(self, before: int, before_s: float, window_s: float) -> int:
        """Decide on a trial; what it showed counts for the next replies as well."""
        self._before = None
        self._patience = _PATIENCE_WINDOWS
        self._choice.note(before, before_s)
        self._choice.note(self._current, window_s)
        if window_s > _BETTER * before_s:
            return before
        self._usual_s = window_s
        return self._current
