"""How long a context a model may have, natively or stretched by YaRN.

Qwen3's hybrid models are made for 32,768 tokens (their files say 40,960, with room for an answer) and were
tested up to 131,072 with YaRN: https://qwen.readthedocs.io/en/latest/run_locally/llama.cpp.html
"""

from __future__ import annotations

from qwen3_chat.catalog import Shape
from qwen3_chat.catalog.family import HYBRID_ANSWER, HYBRID_CONTEXT, YARN_CONTEXT

YARN_BASE_N_CTX = HYBRID_CONTEXT
"""What YaRN's factor refers to."""
_LEAST_PARAMETERS = 3e9
"""0.6B and 1.7B are not offered with YaRN: they lose their way in long texts before that."""


def most_n_ctx(shape: Shape | None, n_ctx_train: int) -> int:
    """Return the longest context that a model may have; `n_ctx_train` is what its file says."""
    return YARN_CONTEXT if _can_be_stretched(shape, n_ctx_train) else n_ctx_train


def yarn_factor(shape: Shape | None, n_ctx_train: int, n_ctx: int) -> float:
    """Return by what positions are scaled for a context; 1, for not at all, wherever that is enough."""
    if n_ctx <= YARN_BASE_N_CTX or not _can_be_stretched(shape, n_ctx_train):
        return 1.0
    return n_ctx / YARN_BASE_N_CTX


def _can_be_stretched(shape: Shape | None, n_ctx_train: int) -> bool:
    is_hybrid = n_ctx_train in (HYBRID_CONTEXT, HYBRID_CONTEXT + HYBRID_ANSWER)
    return is_hybrid and shape is not None and shape.parameters >= _LEAST_PARAMETERS
