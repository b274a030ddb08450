"""Drafts of the next tokens, copied from earlier text or written by a small model, verified in one batch.

Answers repeat their thinking, and changed code repeats most of the original. A draft is evaluated along with
the token before it. The sampler draws from each output in turn, as it would without a draft: the drawn tokens
are the reply, and the first drafted token that is not drawn is removed with all that follow it. So the reply
is the same as without drafts.

Earlier text costs nothing, so it comes first; the draft model is asked where it has nothing to copy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qwen3_chat.engine.worker.llama_context import MAX_OUTPUTS, Context

if TYPE_CHECKING:
    from qwen3_chat.engine.worker.draft_model import DraftModel

LAST_OUTPUT = -1
LAG_TOKENS = 16
"""The tokens that a draft model may be behind without its catching up being timed apart."""
_KEY_TOKENS = 3  # the latest tokens by which an earlier occurrence is found
# With the token before them, batches of 4 and 8, for which llama.cpp has kernels.
_SHORT_DRAFT_TOKENS, _LONG_DRAFT_TOKENS = 3, MAX_OUTPUTS - 1
_AVERAGE_WEIGHT = 0.8  # of the average so far, when a new value is added to it
_MIN_TOKENS = 4
"""The tokens alone that are timed before a draft model is tried."""
_STEPS_PER_TOKEN = 32
"""The steps with drafts after which a token alone is timed again."""
_FIRST_PAUSE_TOKENS, _MAX_PAUSE_TOKENS = 16, 1024


class NgramIndex:
    """An index of a text's tokens: for every three in a row, the position after their last occurrence."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self._end_of: dict[tuple[int, ...], int] = {}
        self._match: int | None = None
        """The position after the previous occurrence of the latest three tokens; None without one."""

    def add(self, tokens: Sequence[int]) -> None:
        """Append tokens."""
        indexed, ends = self.tokens, self._end_of
        for token in tokens:
            indexed.append(token)
            key = tuple(indexed[-_KEY_TOKENS:])
            self._match = ends.get(key)
            ends[key] = len(indexed)

    def continuation(self, length: int) -> list[int]:
        """Return the tokens after the previous occurrence of the latest three, `length` at most."""
        return [] if self._match is None else self.tokens[self._match : self._match + length]


class SpeedupEstimate:
    """An estimate, from measured times, of the speedup by drafts, with the counts of what it was made from.

    Where drafts slow decoding down, they are tried again after a pause, which doubles each time; pauses are
    counted in tokens.
    """

    def __init__(self, min_tokens: int = 1) -> None:
        self.draft_length = _SHORT_DRAFT_TOKENS
        """The maximum number of tokens in the next draft."""
        self._min_tokens = min_tokens
        self._n_tokens = self._n_steps_since_token = 0
        self._token_s = 0.0
        self._average_speedup = 1.0
        self._pause_tokens = 0
        self._next_pause_tokens = _FIRST_PAUSE_TOKENS
        self.n_steps = self.n_drafted = self.n_accepted = 0
        """The steps with a draft, the tokens of their drafts, and those of them that were drawn."""
        self.n_pauses = 0
        self.spent_s = self._spared_s = 0.0
        """The seconds that drafting took in all; those that the same tokens would have taken without it."""

    @property
    def is_worthwhile(self) -> bool:
        """True while drafts are expected to speed decoding up.

        Now and then a token is decoded alone: it takes longer, the longer the text is.
        """
        is_measured = self._token_s > 0 and self._n_tokens >= self._min_tokens
        return is_measured and self._n_steps_since_token < _STEPS_PER_TOKEN and not self._pause_tokens

    @property
    def speedup(self) -> float:
        """The speed of decoding with the attempts to draft : without, so far; 0 without any."""
        return self._spared_s / self.spent_s if self.spent_s > 0 else 0.0

    def record_token(self, elapsed_s: float) -> None:
        """Record the time of a token alone, for which no draft was tried."""
        self._n_tokens += 1
        self._n_steps_since_token = 0
        weight = min(
            _AVERAGE_WEIGHT, 1 - 1 / self._n_tokens
        )  # a mean at first: a single time may be anything
        self._token_s = weight * self._token_s + (1 - weight) * elapsed_s
        self._pause_tokens = max(0, self._pause_tokens - 1)

    def record(self, elapsed_s: float, n_drafted: int, n_accepted: int) -> None:
        """Record the time of a step with a draft of which `n_accepted` were drawn.

        A draft that came out empty counts as well: it took its time for one token.
        """
        self._n_steps_since_token += 1
        expected_s = (1 + n_accepted) * self._token_s
        self.spent_s += elapsed_s
        self._spared_s += expected_s
        if n_drafted:
            self.n_steps += 1
            self.n_drafted += n_drafted
            self.n_accepted += n_accepted
            self.draft_length = _LONG_DRAFT_TOKENS if n_accepted == n_drafted else _SHORT_DRAFT_TOKENS
        speedup = expected_s / max(elapsed_s, 1e-9)
        self._average_speedup = _AVERAGE_WEIGHT * self._average_speedup + (1 - _AVERAGE_WEIGHT) * speedup
        if self._average_speedup >= 1:
            self._next_pause_tokens = _FIRST_PAUSE_TOKENS
            return
        self.n_pauses += 1
        self._pause_tokens, self._average_speedup = self._next_pause_tokens, 1.0
        self._next_pause_tokens = min(2 * self._next_pause_tokens, _MAX_PAUSE_TOKENS)


class PromptLookup:
    """The evaluation of one reply's tokens in a context, with drafts of the next ones.

    The next token has to be sampled from the output at `output_index`.
    """

    def __init__(
        self,
        context: Context,
        known_ids: Sequence[int],
        is_enabled: bool = True,
        draft_model: DraftModel | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.output_index = LAST_OUTPUT
        self._is_enabled = is_enabled
        self._context = context
        self._known_ids = known_ids
        self._clock = clock
        self._ngrams = NgramIndex()
        self._draft_model = draft_model
        self._lookup_speedup, self.model_speedup = SpeedupEstimate(), SpeedupEstimate(_MIN_TOKENS)
        self._speedup: SpeedupEstimate | None = None
        """The estimate of what was to draft in this step; None where nothing was."""
        self._draft: list[int] = []
        self._n_accepted = 0
        self._started_s: float | None = None

    def __enter__(self) -> PromptLookup:
        return self

    def __exit__(self, *_: object) -> None:
        self._finish_step()

    def append(self, token: int) -> None:
        """Evaluate a sampled token, unless it is the next of the draft; raise as the context does."""
        self._ngrams.add([token])
        if self._n_accepted < len(self._draft) and self._draft[self._n_accepted] == token:
            self._context.accept_draft_token(token)
            self._n_accepted += 1
            self.output_index = self._n_accepted
            return
        self._finish_step()
        if draft := self._next_draft():
            self._context.append_with_draft(token, draft)
            self._draft, self._n_accepted, self.output_index = draft, 0, 0
        else:
            self._context.append(token)

    def extend(self, tokens: Sequence[int]) -> None:
        """Evaluate tokens that were not sampled; raise as the context does."""
        self._ngrams.add(tokens)
        self._finish_step()
        self._started_s = None
        for _ in self._context.evaluate(tokens):
            pass

    def _finish_step(self) -> None:
        """Remove the part of the draft that was not drawn; record the time of the step.

        The time includes the sampling: a GPU still computes when the call that started it returns.
        """
        now_s = self._clock()
        if self._started_s is not None:
            self._record(now_s - self._started_s)
        self._started_s = now_s
        if self._n_accepted < len(self._draft):
            self._context.drop_draft()
        self._draft, self._n_accepted, self.output_index = [], 0, LAST_OUTPUT

    def _record(self, elapsed_s: float) -> None:
        """Record the time of a step for what was to draft in it; for both where nothing was."""
        if self._speedup is None:
            for speedup in (self._lookup_speedup, self.model_speedup):
                speedup.record_token(elapsed_s)
        else:
            self._speedup.record(elapsed_s, len(self._draft), self._n_accepted)

    def _next_draft(self) -> list[int]:
        """Return a draft of the next tokens; remember what it came from."""
        self._speedup = None
        if self._known_ids:  # indexed only now, so that the first token does not wait for it
            sampled, self._ngrams = self._ngrams.tokens, NgramIndex()
            self._ngrams.add([*self._known_ids, *sampled])
            self._known_ids = ()
        if not self._is_enabled:
            return []
        length = self._lookup_speedup.draft_length
        draft = self._ngrams.continuation(length) if self._lookup_speedup.is_worthwhile else []
        if draft and self._context.has_room_for_draft(len(draft)):
            self._speedup = self._lookup_speedup
            return draft
        return [] if self._draft_model is None else self._model_draft(self._draft_model)

    def _model_draft(self, model: DraftModel) -> list[int]:
        """Have the draft model go on; what it has to read first, after a pause, is no time of this step."""
        speedup = self.model_speedup
        length = speedup.draft_length
        n_tokens = len(self._ngrams.tokens) + length
        if not (
            speedup.is_worthwhile
            and self._context.has_room_for_draft(length)
            and model.has_room_for(n_tokens)
        ):
            return []
        self._speedup = speedup
        if model.follow(self._ngrams.tokens) > LAG_TOKENS and self._started_s is not None:
            now_s = self._clock()
            speedup.spent_s += now_s - self._started_s
            self._started_s = now_s
        return model.draft(length)
