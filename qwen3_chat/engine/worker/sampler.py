"""The chain of samplers that draws the next token, in C code of llama.cpp."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol

from llama_cpp import llama_cpp as L  # noqa: N812 - short, as everywhere in the worker

from qwen3_chat.sampling import SamplingParams

_PENALISED_TOKENS = 4096
_LOGIT_INDEX = 1  # in llama_token_data, all of whose fields are as long as a float
_RANDOM_SEED = 0xFFFFFFFF  # LLAMA_DEFAULT_SEED: llama.cpp draws a seed of its own


class Candidates:
    """The tokens to draw from with their logits, in an array of llama.cpp."""

    def __init__(self, n_vocab: int) -> None:
        self._tokens = (L.llama_token_data * n_vocab)()
        floats_per_token = ctypes.sizeof(L.llama_token_data) // ctypes.sizeof(ctypes.c_float)
        self._logits = _as_floats(self._tokens)[_LOGIT_INDEX::floats_per_token]
        for token, data in enumerate(self._tokens):
            data.id = token
        self._unsorted = bytes(self._tokens)
        self._array = L.llama_token_data_array()
        self.reference = ctypes.byref(self._array)
        """The array as llama.cpp's functions take it."""

    def fill(self, context: Any, output_index: int) -> None:
        """Make all tokens candidates, with the logits of an output of the context's last batch."""
        n_vocab = len(self._tokens)
        logits = L.llama_get_logits_ith(context, output_index)
        ctypes.memmove(self._tokens, self._unsorted, len(self._unsorted))
        self._logits[:] = _as_floats(ctypes.cast(logits, ctypes.POINTER(ctypes.c_float * n_vocab)).contents)
        self._array.data = ctypes.cast(self._tokens, L.llama_token_data_p)
        self._array.size, self._array.selected, self._array.sorted = n_vocab, -1, False

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
        token: int = self._array.data[self._array.selected].id
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
    """The sampler of one reply: penalties → top-k → temperature → top-p → min-p → dist.

    Top-k comes first because top-p over a vocabulary of 151,936 takes 10 ms, temperature before top-p because
    the recommended settings assume that order. With temperature 0 the most probable token is drawn.
    """

    def __init__(self, params: SamplingParams, seed: int, n_vocab: int) -> None:
        self._n_vocab, self._has_penalties = n_vocab, bool(params.presence_penalty)
        self._candidates: Candidates | None = None
        self._chain = L.llama_sampler_chain_init(L.llama_sampler_chain_default_params())
        for sampler in _samplers(params, seed, n_vocab):
            L.llama_sampler_chain_add(self._chain, sampler)

    def __enter__(self) -> Sampler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        L.llama_sampler_free(self._chain)

    def sample(self, context: Any, output_index: int = -1) -> int:
        """Draw a token from an output of the context's last batch; penalties count it."""
        token: int = L.llama_sampler_sample(self._chain, context, output_index)
        return token

    def sample_allowed(self, context: Any, output_index: int, rule: SamplingRule) -> int:
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

    def _draw(self, context: Any, output_index: int, rule: SamplingRule | None = None) -> int:
        """Draw a token without having the penalties count it."""
        candidates = self._candidates = self._candidates or Candidates(self._n_vocab)
        candidates.fill(context, output_index)
        if rule is not None:
            rule.forbid_others(candidates)
            if not candidates.any_is_possible:
                candidates.fill(context, output_index)
        L.llama_sampler_apply(self._chain, candidates.reference)
        return candidates.selected

    def accept(self, token: int) -> None:
        """Have the penalties count a token that was not drawn."""
        L.llama_sampler_accept(self._chain, token)


def _samplers(params: SamplingParams, seed: int, n_vocab: int) -> list[Any]:
    chain = []
    if params.presence_penalty:
        chain.append(
            L.llama_sampler_init_penalties(n_vocab, _PENALISED_TOKENS, 1.0, 0.0, params.presence_penalty)
        )
    if params.temperature <= 0:
        return [*chain, L.llama_sampler_init_greedy()]
    if params.top_k > 0:
        chain.append(L.llama_sampler_init_top_k(params.top_k))
    chain.append(L.llama_sampler_init_temp(params.temperature))
    if params.top_p < 1:
        chain.append(L.llama_sampler_init_top_p(params.top_p, 1))
    if params.min_p > 0:
        chain.append(L.llama_sampler_init_min_p(params.min_p, 1))
    return [*chain, L.llama_sampler_init_dist(seed % _RANDOM_SEED)]
