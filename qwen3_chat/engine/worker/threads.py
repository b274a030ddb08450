"""The number of threads that decode fastest: measured while idle, lowered when a reply's speed collapses.

With one thread more than there are idle cores, decoding can be many times slower: all wait for the one that
waits. With one less, a core is unused. So a few tokens are timed after each reply, at its depth.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Sequence
from math import inf

from qwen3_chat.engine.worker.abort_flag import AbortedError, AbortFlag
from qwen3_chat.engine.worker.llama_context import Context

_MAX_KEPT_TIMES = 3
_CHANGE_THRESHOLD = 0.9  # another number of threads has to be a tenth faster
_WINDOW_TOKENS = 8
_COLLAPSE_FACTOR = 2.0
_GROWTH = 1.02  # of the usual time, from window to window: a longer context takes longer
_WINDOWS_BETWEEN_TRIALS = 16
_MAX_SLOWDOWN = 10
"""The factor at which a candidate that is slower than another is no longer timed."""


class ThreadChoice:
    """The choice of a number of threads by the latest times of each candidate.

    Older times are forgotten, and so is a burst of other work once it is over. `first` is the choice until
    there are times, `first_for_prompts` that for prompts as long as `first` stays the best.
    """

    def __init__(self, candidates: Sequence[int], first: int, first_for_prompts: int) -> None:
        self.candidates = tuple(candidates)
        self.best = first
        self._first = first
        self._first_for_prompts = first_for_prompts
        self._times_s: dict[int, deque[float]] = {
            candidate: deque(maxlen=_MAX_KEPT_TIMES) for candidate in {*candidates, first}
        }

    @property
    def best_for_prompts(self) -> int:
        """The number of threads to evaluate prompts with."""
        return self._first_for_prompts if self.best == self._first else self.best

    def record(self, n_threads: int, token_s: float) -> None:
        """Record the time of a token, and choose anew; another number has to be a tenth faster."""
        self._times_s[n_threads].append(token_s)
        medians = {count: statistics.median(times) for count, times in self._times_s.items() if times}
        fastest = min(medians, key=medians.__getitem__)
        if self.best not in medians or medians[fastest] < _CHANGE_THRESHOLD * medians[self.best]:
            self.best = fastest


class ThreadGuard:
    """The guard of one reply's speed: it watches the time of each token, by windows of a few.

    When a window takes twice as long as usual, the next lower number of threads is tried for a window. As
    long as there are fewer than at the start, the next higher number is tried now and then.
    """

    def __init__(self, choice: ThreadChoice) -> None:
        self._choice = choice
        self._first = self._current = choice.best
        self._times_s: list[float] = []
        self._usual_s = inf
        self._windows_to_wait = 0
        self._before_trial: tuple[int, float] | None = None  # the number of threads and its time

    def record(self, token_s: float) -> int | None:
        """Record the time of a token; return the number of threads for the next ones, None for no change."""
        self._times_s.append(token_s)
        if len(self._times_s) < _WINDOW_TOKENS:
            return None
        window_s = statistics.median(self._times_s)
        self._times_s.clear()
        before = self._current
        self._current = self._decide(window_s)
        return None if self._current == before else self._current

    def _decide(self, window_s: float) -> int:
        """Return the number of threads for the next window."""
        if self._before_trial:
            return self._judge(*self._before_trial, window_s)
        self._usual_s = min(self._usual_s * _GROWTH, window_s)
        if self._windows_to_wait:
            self._windows_to_wait -= 1
            return self._current
        other = None
        if window_s > _COLLAPSE_FACTOR * self._usual_s:
            other = max((n for n in self._choice.candidates if n < self._current), default=None)
        elif self._current < self._first:
            other = min(n for n in (*self._choice.candidates, self._first) if n > self._current)
        if other is None:
            return self._current
        self._before_trial = (self._current, window_s)
        return other

    def _judge(self, before: int, before_s: float, window_s: float) -> int:
        """Return the faster number of threads after a trial; its times count for the next replies, too."""
        self._before_trial = None
        self._windows_to_wait = _WINDOWS_BETWEEN_TRIALS
        self._choice.record(before, before_s)
        self._choice.record(self._current, window_s)
        if window_s > _CHANGE_THRESHOLD * before_s:
            return before
        self._usual_s = window_s
        return self._current


def measure_threads(context: Context, choice: ThreadChoice, abort: AbortFlag) -> None:
    """Time each candidate, then set the best; if interrupted, the best so far.

    Raises:
        EngineError: llama.cpp could not decode.
    """
    if len(choice.candidates) < 2:
        return
    context.set_abort_flag(abort)
    try:
        limit_s = inf
        for n_threads in sorted(choice.candidates, key=lambda candidate: candidate != choice.best):
            context.set_threads(n_threads, n_threads)
            token_s = context.time_token_s(limit_s)
            if token_s is None:
                return
            choice.record(n_threads, token_s)
            limit_s = min(limit_s, _MAX_SLOWDOWN * token_s)
    except AbortedError:
        return
    finally:
        context.set_threads(choice.best, choice.best_for_prompts)
