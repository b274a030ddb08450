"""What may differ from turn to turn and from chat to chat."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from qwen3_chat.chat import SamplingParams
from qwen3_chat.prompt import ContextPolicy
from qwen3_chat.request import ToolSpec
from qwen3_chat.store.records import ChatOptions


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """What may differ from turn to turn; None leaves the preset of the mode."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    thinking_budget: int | None = None
    tools: tuple[ToolSpec, ...] = ()
    context_policy: ContextPolicy = ContextPolicy.ASK

    def within(self, chat: ChatOptions) -> TurnOptions:
        """Have what was chosen for a chat win."""
        return replace(self, **chosen(chat))

    def sampling(self, preset: SamplingParams) -> SamplingParams:
        """Change a preset by what was chosen."""
        names = {field.name for field in fields(SamplingParams)}
        changes = {
            name: value for name, value in _values(self).items() if name in names and value is not None
        }
        return replace(preset, **changes)


def chosen(options: ChatOptions) -> dict[str, Any]:
    """Return what differs from the presets."""
    return {name: value for name, value in _values(options).items() if value is not None}


def _values(options: TurnOptions | ChatOptions) -> dict[str, Any]:
    return {field.name: getattr(options, field.name) for field in fields(options)}
