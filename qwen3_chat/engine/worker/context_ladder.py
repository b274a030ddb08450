"""The sizes of a context, and the smaller ones that are tried where llama.cpp finds no memory for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from qwen3_chat.engine.worker.context_size import SMALLEST_N_CTX
from qwen3_chat.events import Notice

_SMALLEST_CHUNK_TOKENS = 32


@dataclass(frozen=True, slots=True)
class ContextPlan:
    """How a context is made: its size, the tokens evaluated at once, the KV cache in q8_0 or else in f16."""

    n_ctx: int
    chunk_tokens: int
    has_quantised_kv: bool = False


def ladder(first: ContextPlan, n_ctx_is_wanted: bool) -> Iterator[tuple[ContextPlan, tuple[Notice, ...]]]:
    """Walk down from a plan to what needs least, each with what to tell the user of it.

    The context is halved first, unless the user wanted that size. Then the KV cache is to take half the room,
    which is slower, and last the buffers for evaluation shrink.
    """
    plan = first
    notices: tuple[Notice, ...] = ()
    yield plan, notices
    while not n_ctx_is_wanted and plan.n_ctx // 2 >= SMALLEST_N_CTX:
        plan = replace(plan, n_ctx=plan.n_ctx // 2)
        notices = (Notice("engine.context_reduced", {"n_ctx": plan.n_ctx}),)
        yield plan, notices
    plan = replace(plan, has_quantised_kv=True)
    notices = (*notices, Notice("engine.kv_quantised"))
    yield plan, notices
    if plan.chunk_tokens > _SMALLEST_CHUNK_TOKENS:
        yield (
            replace(plan, chunk_tokens=_SMALLEST_CHUNK_TOKENS),
            (*notices, Notice("engine.smaller_chunks", {"tokens": _SMALLEST_CHUNK_TOKENS})),
        )
