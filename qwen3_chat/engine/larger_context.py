"""How much larger a context can become."""

from __future__ import annotations


def larger_n_ctx(tokens: int, n_ctx: int, most: int, bytes_per_token: int, free_bytes: int) -> int | None:
    """Return the context that so many tokens fit into: a doubling, or what memory or the model still allow.

    `free_bytes` are free beside what the present context takes, which is given back. None where even the
    least is too much.
    """
    room = n_ctx + max(0, free_bytes) // max(1, bytes_per_token)
    limit = min(most, room // _STEP_TOKENS * _STEP_TOKENS)
    wanted = max(1, n_ctx)
    while wanted < tokens or wanted <= n_ctx:
        wanted *= 2
    found = min(wanted, limit)
    return found if found >= tokens and found > n_ctx else None


_STEP_TOKENS = 256  # llama.cpp rounds up to these
