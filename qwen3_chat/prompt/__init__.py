"""What a turn sends to the model, decided on values alone."""

from __future__ import annotations

from qwen3_chat.prompt.context_plan import (
    ContextPolicy,
    Plan,
    answer_reserve_tokens,
    plan,
    turn_reserve_tokens,
)
from qwen3_chat.prompt.thinking_mode import ModeDecision, decide_mode, mode_in_force, only_a_tag, typed_mode

__all__ = [
    "ContextPolicy",
    "ModeDecision",
    "Plan",
    "answer_reserve_tokens",
    "decide_mode",
    "mode_in_force",
    "only_a_tag",
    "plan",
    "turn_reserve_tokens",
    "typed_mode",
]
