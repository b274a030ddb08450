"""Guesses of what is sampled next, from what was said before, verified in one batch.

Answers repeat their thinking, and code that is changed repeats most of the code. A guess is evaluated along
with the token before it. The sampler draws from each output in turn, as it would without: what it draws is
the reply, and a guess that it does not draw is forgotten with all that follows. So the reply is the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from qwen3_chat.engine.worker.context import MOST_OUTPUTS, Context

LAST_OUTPUT = -1
_KEY_TOKENS = 3
_SHORT, _LONG = 3, MOST_OUTPUTS - 1  # with the token itself 4 and 8, which kernels are made for
_MEMORY = 0.8  # of averages, from one step to the next
_FIRST_PAUSE_TOKENS, _LONGEST_PAUSE_TOKENS = 16, 1024


class Repetition:
    """Finds the place where the latest tokens stood before."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self._end_of: dict[tuple[int, ...], int] = {}
        self._match: int | None = None

    def add(self, tokens: Sequence[int]) -> None:
        """Take in what follows."""
        known, ends = self.tokens, self._end_of
        for token in tokens:
            known.append(token)
            key = tuple(known[-_KEY_TOKENS:])
            self._match = ends.get(key)
            ends[key] = len(known)

    def continuation(self, length: int) -> list[int]:
        """Return what followed the latest tokens the last time they came; nothing where they never did."""
        return [] if self._match is None else self.tokens[self._match : self._match + length]


class Gain:
    """Tells from measured times how much is to be guessed: nothing where guessing does not pay.

    What does not pay is tried again after a pause, which doubles each time.
    """

    def __init__(self) -> None:
        self.length = _SHORT
        """How many tokens the next guess may have."""
        self._token_s = 0.0
        self._ratio = 1.0
        self._pause = 0
        self._next_pause = _FIRST_PAUSE_TOKENS

    @property
    def pays(self) -> bool:
        """Whether the next token is worth a guess."""
        return self._token_s > 0 and not self._pause

    def note(self, elapsed_s: float, n_guessed: int, n_right: int) -> None:
        """Take in how long a token took, alone or with a guess of which so many were right."""
        if not n_guessed:
            self._token_s = _average(self._token_s, elapsed_s)
            self._pause = max(0, self._pause - 1)
            return
        self.length = _LONG if n_right == n_guessed else _SHORT
        self._ratio = _average(self._ratio, (1 + n_right) * self._token_s / max(elapsed_s, 1e-9))
        if self._ratio >= 1:
            self._next_pause = _FIRST_PAUSE_TOKENS
            return
        self._pause, self._ratio = self._next_pause, 1.0
        self._next_pause = min(2 * self._next_pause, _LONGEST_PAUSE_TOKENS)


class Guessing:
    """Appends the sampled tokens of one reply to a context; `output` is what to sample the next one from."""

    def __init__(
        self,
        context: Context,
        known: Sequence[int],
        is_on: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.output = LAST_OUTPUT
        self._is_on = is_on
        self._context = context
        self._known = known
        self._clock = clock
        self._repetition = Repetition()
        self._gain = Gain()
        self._guess: list[int] = []
        self._n_right = 0
        self._begun_s: float | None = None

    def __enter__(self) -> Guessing:
        return self

    def __exit__(self, *_: object) -> None:
        self._settle()

    def append(self, token: int) -> None:
        """Have a token evaluated, if it was not guessed; raises as the context does."""
        self._repetition.add([token])
        if self._n_right < len(self._guess) and self._guess[self._n_right] == token:
            self._context.confirm(token)
            self._n_right += 1
            self.output = self._n_right
            return
        self._settle()
        if guess := self._next_guess():
            self._context.append_with_guess(token, guess)
            self._guess, self._n_right, self.output = guess, 0, 0
        else:
            self._context.append(token)

    def extend(self, tokens: Sequence[int]) -> None:
        """Have tokens evaluated that were not sampled; raises as the context does."""
        self._repetition.add(tokens)
        self._settle()
        self._begun_s = None
        for _ in self._context.evaluate(tokens):
            pass

    def _settle(self) -> None:
        """Forget the part of the guess that was not drawn; note what the last step took, sampling included.

        A GPU still computes when the call that started it returns.
        """
        now_s = self._clock()
        if self._begun_s is not None:
            self._gain.note(now_s - self._begun_s, len(self._guess), self._n_right)
        self._begun_s = now_s
        if self._n_right < len(self._guess):
            self._context.drop_guess()
        self._guess, self._n_right, self.output = [], 0, LAST_OUTPUT

    def _next_guess(self) -> list[int]:
        if self._known:  # not before the first token is out
            sampled, self._repetition = self._repetition.tokens, Repetition()
            self._repetition.add([*self._known, *sampled])
            self._known = ()
        if not (self._is_on and self._gain.pays):
            return []
        guess = self._repetition.continuation(self._gain.length)
        return guess if self._context.has_room_for_guess(len(guess)) else []


def _average(before: float, value: float) -> float:
    return _MEMORY * before + (1 - _MEMORY) * value if before else value
