"""Prompt lookup: drafts of the next tokens, copied from what was said before and verified in one batch.

Answers repeat their thinking, and code that is changed repeats most of the code. A draft is evaluated along
with the token before it. The sampler draws from each output in turn, as it would without: what it draws is
the reply, and a draft token that it does not draw is forgotten with all that follow. So the reply is the
same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from qwen3_chat.engine.worker.llama_context import MAX_OUTPUTS, Context

LAST_OUTPUT = -1
_KEY_TOKENS = 3
_SHORT_DRAFT_TOKENS, _LONG_DRAFT_TOKENS = (
    3,
    MAX_OUTPUTS - 1,
)  # with the token itself 4 and 8, which kernels are made for
_AVERAGE_WEIGHT = 0.8  # of averages, from one step to the next
_FIRST_PAUSE_TOKENS, _MAX_PAUSE_TOKENS = 16, 1024


class NgramIndex:
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


class SpeedupEstimate:
    """Tells from measured times how much is to be guessed: nothing where guessing does not pay.

    What does not pay is tried again after a pause, which doubles each time.
    """

    def __init__(self) -> None:
        self.draft_length = _SHORT_DRAFT_TOKENS
        """How many tokens the next guess may have."""
        self._token_s = 0.0
        self._ratio = 1.0
        self._pause = 0
        self._next_pause = _FIRST_PAUSE_TOKENS

    @property
    def is_worthwhile(self) -> bool:
        """Whether the next token is worth a guess."""
        return self._token_s > 0 and not self._pause

    def record(self, elapsed_s: float, n_drafted: int, n_accepted: int) -> None:
        """Take in how long a token took, alone or with a guess of which so many were right."""
        if not n_drafted:
            self._token_s = _average(self._token_s, elapsed_s)
            self._pause = max(0, self._pause - 1)
            return
        self.draft_length = _LONG_DRAFT_TOKENS if n_accepted == n_drafted else _SHORT_DRAFT_TOKENS
        self._ratio = _average(self._ratio, (1 + n_accepted) * self._token_s / max(elapsed_s, 1e-9))
        if self._ratio >= 1:
            self._next_pause = _FIRST_PAUSE_TOKENS
            return
        self._pause, self._ratio = self._next_pause, 1.0
        self._next_pause = min(2 * self._next_pause, _MAX_PAUSE_TOKENS)


class PromptLookup:
    """Appends the sampled tokens of one reply to a context; `output_index` is what to sample the next one from."""

    def __init__(
        self,
        context: Context,
        known: Sequence[int],
        is_enabled: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.output_index = LAST_OUTPUT
        self._is_enabled = is_enabled
        self._context = context
        self._known = known
        self._clock = clock
        self._ngrams = NgramIndex()
        self._speedup = SpeedupEstimate()
        self._draft: list[int] = []
        self._n_accepted = 0
        self._begun_s: float | None = None

    def __enter__(self) -> PromptLookup:
        return self

    def __exit__(self, *_: object) -> None:
        self._finish_step()

    def append(self, token: int) -> None:
        """Have a token evaluated, if it was not guessed; raises as the context does."""
        self._ngrams.add([token])
        if self._n_accepted < len(self._draft) and self._draft[self._n_accepted] == token:
            self._context.accept_draft_token(token)
            self._n_accepted += 1
            self.output_index = self._n_accepted
            return
        self._finish_step()
        if guess := self._next_draft():
            self._context.append_with_draft(token, guess)
            self._draft, self._n_accepted, self.output_index = guess, 0, 0
        else:
            self._context.append(token)

    def extend(self, tokens: Sequence[int]) -> None:
        """Have tokens evaluated that were not sampled; raises as the context does."""
        self._ngrams.add(tokens)
        self._finish_step()
        self._begun_s = None
        for _ in self._context.evaluate(tokens):
            pass

    def _finish_step(self) -> None:
        """Forget the part of the guess that was not drawn; note what the last step took, sampling included.

        A GPU still computes when the call that started it returns.
        """
        now_s = self._clock()
        if self._begun_s is not None:
            self._speedup.record(now_s - self._begun_s, len(self._draft), self._n_accepted)
        self._begun_s = now_s
        if self._n_accepted < len(self._draft):
            self._context.drop_draft()
        self._draft, self._n_accepted, self.output_index = [], 0, LAST_OUTPUT

    def _next_draft(self) -> list[int]:
        if self._known:  # not before the first token is out
            sampled, self._ngrams = self._ngrams.tokens, NgramIndex()
            self._ngrams.add([*self._known, *sampled])
            self._known = ()
        if not (self._is_enabled and self._speedup.is_worthwhile):
            return []
        guess = self._ngrams.continuation(self._speedup.draft_length)
        return guess if self._context.has_room_for_draft(len(guess)) else []


def _average(before: float, value: float) -> float:
    return _AVERAGE_WEIGHT * before + (1 - _AVERAGE_WEIGHT) * value if before else value
