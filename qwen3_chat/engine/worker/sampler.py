"""The sampler of a reply, which draws the next token, and the rules that it keeps to."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol

from qwen3_chat.engine.worker.native_library import NativeContext, NativeVocab, TokenData, TokenDataArray
from qwen3_chat.sampling import SamplingParams

_LOGIT_INDEX = 1  # in `TokenData`, all of whose fields are as long as a float


class Candidates:
    """The tokens to draw from with their logits, in an array as libraries take it."""

    def __init__(self, n_vocab: int) -> None:
        self._tokens = (TokenData * n_vocab)()
        floats_per_token = ctypes.sizeof(TokenData) // ctypes.sizeof(ctypes.c_float)
        self._logits = _as_floats(self._tokens)[_LOGIT_INDEX::floats_per_token]
        for token, data in enumerate(self._tokens):
            data.id = token
        self._unsorted = bytes(self._tokens)
        self.array = TokenDataArray()
        """The array as libraries take it."""

    def fill(self, context: NativeContext, output_index: int) -> None:
        """Make all tokens candidates, with the logits of an output of the context's last batch."""
        n_vocab = len(self._tokens)
        logits = context.logits(output_index)
        ctypes.memmove(self._tokens, self._unsorted, len(self._unsorted))
        self._logits[:] = _as_floats(ctypes.cast(logits, ctypes.POINTER(ctypes.c_float * n_vocab)).contents)
        self.array.data = ctypes.cast(self._tokens, ctypes.POINTER(TokenData))
        self.array.size, self.array.selected, self.array.sorted = n_vocab, -1, False

    def forbid_unless(self, is_allowed: Callable[[int], bool]) -> None:
        """Give possible tokens that are not allowed a probability of 0; call it before they are sorted."""
        for token, logit in enumerate(self._logits):
            if logit > -math.inf and not is_allowed(token):
                self._logits[token] = -math.inf

    def logit(self, token: int) -> float:
        """Return the logit of a token; call it before they are sorted."""
        return self._logits[token]

    def set_logit(self, token: int, logit: float) -> None:
        """Set the logit of a token; call it before they are sorted."""
        self._logits[token] = logit

    @property
    def any_is_possible(self) -> bool:
        """True unless all tokens have a probability of 0."""
        return max(self._logits) > -math.inf

    @property
    def selected(self) -> int:
        """The token that the samplers chose."""
        token: int = self.array.data[self.array.selected].id
        return token


def _as_floats(array: Any) -> memoryview[float]:
    return memoryview(array).cast("B").cast("f")


class SamplingRule(Protocol):
    """A rule about which token may come next."""

    def allows(self, token: int) -> bool:
        """Return whether a token may come next."""
        ...

    def forbid_others(self, candidates: Candidates) -> None:
        """Give each token that may not come next a probability of 0."""
        ...


class Sampler:
    """The sampler of one reply, which may keep to a rule; see `NativeSampler`."""

    def __init__(self, params: SamplingParams, seed: int, vocab: NativeVocab) -> None:
        self._n_vocab, self._has_penalties = vocab.n_tokens, bool(params.presence_penalty)
        self._candidates: Candidates | None = None
        self._native = vocab.new_sampler(params, seed)

    def __enter__(self) -> Sampler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._native.free()

    def sample(self, context: NativeContext, output_index: int = -1) -> int:
        """Draw a token from an output of the context's last batch; penalties count it."""
        return self._native.sample(context, output_index)

    def sample_allowed(self, context: NativeContext, output_index: int, rule: SamplingRule) -> int:
        """Draw a token that a rule allows: the same one as `sample` would, if that is allowed.

        Only if it is not, the rule is applied to the whole vocabulary, which takes some 30 ms for Qwen3's.
        If it allows no token at all, any is drawn.
        """
        # `sample` is quicker than `_draw`; without penalties it does not matter what they count.
        token = (self._draw if self._has_penalties else self.sample)(context, output_index)
        if not rule.allows(token):
            token = self._draw(context, output_index, rule)
        self.accept(token)
        return token

    def _draw(self, context: NativeContext, output_index: int, rule: SamplingRule | None = None) -> int:
        """Draw a token without having the penalties count it."""
        candidates = self._candidates = self._candidates or Candidates(self._n_vocab)
        candidates.fill(context, output_index)
        if rule is not None:
            rule.forbid_others(candidates)
            if not candidates.any_is_possible:
                candidates.fill(context, output_index)
        self._native.apply(candidates.array)
        return candidates.selected

    def accept(self, token: int) -> None:
        """Have the penalties count a token that was not drawn."""
        self._native.accept(token)
