from __future__ import annotations

import pytest

from qwen3_chat.engine.worker.context_size import choose_n_ctx
from qwen3_chat.events import Notice

GIB = 1 << 30
OF_8B = 144 * 1024  # bytes of a token in the KV cache of Qwen3-8B


@pytest.mark.parametrize(
    ("wanted", "n_ctx_train", "free_bytes", "n_ctx", "notice"),
    [
        (None, 40_960, 64 * GIB, 16_384, None),
        (None, 4_096, 64 * GIB, 4_096, None),
        (None, 0, 64 * GIB, 16_384, None),
        (None, 40_960, 2 * GIB, 8_192, "engine.context_reduced"),
        (None, 40_960, GIB, 4_096, "engine.context_reduced"),
        (None, 40_960, -GIB, 2_048, "engine.context_reduced"),
        (None, 1_024, -GIB, 1_024, None),
        (32_768, 40_960, 0, 32_768, None),
        (500, 40_960, 0, 500, None),
        (50_000, 40_960, 64 * GIB, 40_960, "engine.context_capped"),
    ],
)
def test_the_context_suits_the_model_and_the_memory(
    wanted: int | None, n_ctx_train: int, free_bytes: int, n_ctx: int, notice: str | None
) -> None:
    chosen, told = choose_n_ctx(wanted, n_ctx_train, OF_8B, free_bytes)
    assert (chosen, told.key if told else None) == (n_ctx, notice)


def test_a_context_that_is_capped_says_what_was_wanted() -> None:
    _, notice = choose_n_ctx(50_000, 40_960, OF_8B, 0)
    assert notice == Notice("engine.context_capped", {"wanted": 50_000, "n_ctx": 40_960})
