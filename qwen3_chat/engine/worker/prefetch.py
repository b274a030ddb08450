"""The prefetch of the next prompt: its beginning is evaluated while nobody waits.

Qwen3's template drops the thinking of earlier turns, and the empty think block of turns without thinking. So
from the latest reply on, the KV cache does not match the next prompt, and the next turn would have to
evaluate that whole answer first.
"""

from __future__ import annotations

from qwen3_chat.chat import ChatMessage, Role, StopReason
from qwen3_chat.engine.worker.abort_flag import AbortedError, AbortFlag
from qwen3_chat.engine.worker.llama_context import common_length
from qwen3_chat.engine.worker.llama_model import LlamaModel
from qwen3_chat.engine.worker.prompt_ids import tokenise
from qwen3_chat.engine.worker.template_process import StopCheck, never_stops
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest

_PLACEHOLDER_QUESTIONS = ("a", "1")
"""Two questions with nothing in common: the shared beginning of their prompts is that of any next prompt."""


def prefetch_next_prompt(
    model: LlamaModel, request: ChatRequest, reply: ChatMessage, stop_reason: StopReason, abort: AbortFlag
) -> None:
    """Evaluate as much of the next prompt as is known, until the flag is set.

    A reply that was stopped stays in the KV cache in any case: it may be continued. After a tool call,
    nothing is evaluated: the same turn is continued with all of its thinking.

    Raises:
        EngineError: the next prompt can't be rendered, or llama.cpp could not evaluate it; `Cancelled` where
            the flag was set while it was rendered.
    """
    if stop_reason is StopReason.TOOL_CALLS or abort.is_set():
        return
    prefix = next_prompt_prefix(model, request, reply, abort.is_set)
    model.context.set_abort_flag(abort)
    try:
        for _ in model.context.prefetch(prefix, may_cut_back=stop_reason is StopReason.END_OF_TURN):
            pass
    except AbortedError:
        return


def next_prompt_prefix(
    model: LlamaModel, request: ChatRequest, reply: ChatMessage, is_stopped: StopCheck = never_stops
) -> list[int]:
    """Return the tokens that the next prompt begins with, whatever the user asks."""
    first, second = (
        _prompt_with_question(model, request, reply, question, is_stopped)
        for question in _PLACEHOLDER_QUESTIONS
    )
    return first[: common_length(first, second)]


def _prompt_with_question(
    model: LlamaModel, request: ChatRequest, reply: ChatMessage, question: str, is_stopped: StopCheck
) -> list[int]:
    messages = (*request.messages, reply, ChatMessage(Role.USER, question))
    next_request = replace(request, messages=messages, prefix=None)
    rendered = model.template.render_request(next_request, is_stopped)
    return tokenise(rendered, model.vocab, next_request)
