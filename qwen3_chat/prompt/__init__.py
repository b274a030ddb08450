"""What a turn sends to the model, decided on values alone."""

from __future__ import annotations

from qwen3_chat.prompt.context_plan import ContextPolicy, Plan, answer_reserve_tokens, plan
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
    "typed_mode",
]
