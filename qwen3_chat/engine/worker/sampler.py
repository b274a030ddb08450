"""The chain of samplers that draws the next token, in C code of llama.cpp."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from llama_cpp import llama_cpp as L  # noqa: N812 - short, as everywhere in the worker

from qwen3_chat.sampling import SamplingParams

_PENALISED_TOKENS = 4096
_RANDOM_SEED = 0xFFFFFFFF  # LLAMA_DEFAULT_SEED: llama.cpp draws a seed of its own


class Sampler:
    """The sampler of one reply: penalties → top-k → temperature → top-p → min-p → dist.

    Top-k comes first because top-p over a vocabulary of 151,936 takes 10 ms, temperature before top-p because
    the recommended settings assume that order. With temperature 0 the most probable token is drawn.
    """

    def __init__(self, params: SamplingParams, seed: int, n_vocab: int) -> None:
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
