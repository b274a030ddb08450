"""The mode of a turn with a model that can't switch thinking, which then decides alone."""

from __future__ import annotations

from collections.abc import Sequence

from qwen3_chat.catalog import Thinking, thinking_of
from qwen3_chat.chat import ChatMessage, ThinkingMode
from qwen3_chat.prompt import ModeDecision, decide_mode
from qwen3_chat.request import LoadedModel


def fixed_mode(model: LoadedModel | None) -> ThinkingMode | None:
    """Return the only mode that a model has; None where it can be switched, or there is no model yet."""
    if model is None:
        return None
    match thinking_of(model.name):
        case Thinking.ALWAYS:
            return ThinkingMode.THINK
        case Thinking.NEVER:
            return ThinkingMode.NO_THINK
        case Thinking.SWITCHABLE:
            return None


def decide_for(
    model: LoadedModel | None, text: str, toggle: ThinkingMode | None, history: Sequence[ChatMessage]
) -> ModeDecision:
    """Decide on the mode of a turn; with a fixed one no tag is appended, and the toggle stays for later."""
    decision = decide_mode(text, toggle, history)
    if (fixed := fixed_mode(model)) is None:
        return decision
    return ModeDecision(fixed, None, decision.toggle)
