"""The measurement of how many threads are fastest right now, while nobody waits.

With a thread more than there are idle cores, decoding can be many times slower: all wait for the one that
waits. With one less, a core is wasted. So a few tokens are timed after each reply, at its depth.
"""

from __future__ import annotations

from math import inf

from qwen3_chat.engine.worker.abort import AbortedError, AbortFlag
from qwen3_chat.engine.worker.context import Context
from qwen3_chat.engine.worker.thread_choice import ThreadChoice

_PATIENCE_TOKENS = 10
"""What takes longer than so many tokens of another candidate is not measured to its end."""


def try_threads(context: Context, choice: ThreadChoice, abort: AbortFlag) -> None:
    """Time each candidate, then go on with the best; interrupted, with the best so far.

    Raises:
        EngineError: llama.cpp could not decode.
    """
    if len(choice.candidates) < 2:
        return
    context.watch(abort)
    try:
        limit_s = inf
        for n_threads in sorted(choice.candidates, key=lambda candidate: candidate != choice.best):
            context.set_threads(n_threads, n_threads)
            token_s = context.time_token_s(limit_s)
            if token_s is None:
                return
            choice.note(n_threads, token_s)
            limit_s = min(limit_s, _PATIENCE_TOKENS * token_s)
    except AbortedError:
        return
    finally:
        context.set_threads(choice.best, choice.best_for_prompts)
