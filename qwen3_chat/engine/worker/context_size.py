"""How many tokens of context a model gets."""

from __future__ import annotations

from qwen3_chat.events import Notice

DEFAULT_N_CTX = 16_384
SMALLEST_N_CTX = 2_048


def choose_n_ctx(
    wanted: int | None, n_ctx_train: int, bytes_per_token: int, free_bytes: int
) -> tuple[int, Notice | None]:
    """Choose the context: as wanted, else 16K or what memory holds; never more than the model was made for.

    Returns:
        The number of tokens, with what to tell the user where it is not what one would expect.
    """
    most = n_ctx_train or DEFAULT_N_CTX
    if wanted:
        if wanted > most:
            return most, Notice("engine.context_capped", {"wanted": wanted, "n_ctx": most})
        return wanted, None
    n_ctx = expected = min(most, DEFAULT_N_CTX)
    while n_ctx > SMALLEST_N_CTX and n_ctx * bytes_per_token > free_bytes:
        n_ctx //= 2
    return n_ctx, None if n_ctx == expected else Notice("engine.context_reduced", {"n_ctx": n_ctx})
