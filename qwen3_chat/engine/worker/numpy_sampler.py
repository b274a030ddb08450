"""The samplers of a reply in numpy, for libraries without a chain of samplers."""

from __future__ import annotations

import ctypes
import math
import random
from collections import Counter, deque
from typing import Any, Final

import numpy as np

from qwen3_chat.engine.worker.native_library import NativeContext, TokenDataArray
from qwen3_chat.sampling import SamplingParams

_PENALISED_TOKENS: Final = 4096
_BLOCK_TOKENS: Final = 128
"""The number of tokens of which the best one is looked for at once, see `_best_tokens`."""
_TOKEN_DATA: Final = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class NumpySampler:
    """The samplers of one reply, in the order and with the meaning of `NativeSampler`."""

    def __init__(self, params: SamplingParams, seed: int, n_vocab: int) -> None:
        self._params = params
        self._n_vocab = n_vocab
        self._random = random.Random(seed)
        self._recent: deque[int] = deque()
        self._counts: Counter[int] = Counter()

    def sample(self, context: NativeContext, output_index: int) -> int:
        """Draw a token from an output of the context's last batch; penalties count it."""
        logits = np.ctypeslib.as_array(context.logits(output_index), (self._n_vocab,))
        if self._counts:
            logits = self._penalise(logits)
        token = self._draw(logits)
        self.accept(token)
        return token

    def apply(self, candidates: TokenDataArray) -> None:
        """Select one of the candidates, which are in the order of their ids."""
        size = candidates.size * _TOKEN_DATA.itemsize
        data = (ctypes.c_uint8 * size).from_address(_address(candidates))
        logits = np.frombuffer(data, _TOKEN_DATA)["logit"]
        candidates.selected = self._draw(self._penalise(logits) if self._counts else logits)

    def accept(self, token: int) -> None:
        """Have the penalties count a token."""
        if not self._params.presence_penalty:
            return
        self._recent.append(token)
        self._counts[token] += 1
        if len(self._recent) > _PENALISED_TOKENS:
            oldest = self._recent.popleft()
            self._counts[oldest] -= 1
            if not self._counts[oldest]:
                del self._counts[oldest]

    def free(self) -> None:
        """Do nothing: Python frees the memory."""

    def _penalise(self, logits: Any) -> Any:
        penalised = np.array(logits)
        penalised[list(self._counts)] -= self._params.presence_penalty
        return penalised

    def _draw(self, logits: Any) -> int:
        """Draw a token by its logits."""
        params = self._params
        if params.temperature <= 0:
            return int(logits.argmax())
        tokens = _best_tokens(logits, params.top_k)
        if not len(tokens):  # of a model that is broken
            return 0
        values = logits[tokens].astype(np.float64)
        order = np.argsort(-values, kind="stable")
        tokens, values = tokens[order], values[order] / params.temperature
        weights = np.exp(values - values[0])
        if params.top_p < 1:
            shares = np.cumsum(weights) / weights.sum()
            weights = weights[: int(np.searchsorted(shares, params.top_p)) + 1]
        if params.min_p > 0:
            weights = weights[weights >= params.min_p]  # the first one is 1
        sums = np.cumsum(weights)
        drawn = int(np.searchsorted(sums, self._random.random() * sums[-1], side="right"))
        return int(tokens[min(drawn, len(sums) - 1)])


def _best_tokens(logits: Any, count: int) -> Any:
    """Return the tokens with the highest logits; all that are possible where `count` is 0.

    The best of each block are found first: no token below the last of the best `count` blocks can be among
    the best `count` tokens. That takes a tenth of the time of a partition of the whole vocabulary.
    """
    n_blocks = len(logits) // _BLOCK_TOKENS
    threshold = -math.inf
    if 0 < count < n_blocks:
        blocks = logits[: n_blocks * _BLOCK_TOKENS].reshape(n_blocks, _BLOCK_TOKENS).max(axis=1)
        threshold = np.partition(blocks, n_blocks - count)[n_blocks - count]
    tokens = np.flatnonzero((logits >= threshold) & (logits > -math.inf))
    if 0 < count < len(tokens):
        values = logits[tokens]
        tokens = tokens[np.argpartition(-values, count - 1)[:count]]
    return tokens


def _address(candidates: TokenDataArray) -> int:
    return ctypes.cast(candidates.data, ctypes.c_void_p).value or 0
