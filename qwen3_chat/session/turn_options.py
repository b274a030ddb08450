"""The generation options of a turn and of a chat: their ranges, their text forms, their precedence."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Final

from qwen3_chat.chat import SamplingParams
from qwen3_chat.context_plan import ContextPolicy
from qwen3_chat.errors import UsageError
from qwen3_chat.request import ToolSpec
from qwen3_chat.store.records import ChatOptions


@dataclass(frozen=True, slots=True)
class OptionField:
    """One field of `ChatOptions` with the least and the greatest value that it takes."""

    name: str
    minimum: float
    maximum: float
    is_whole: bool = False

    def parse(self, text: str) -> float | int | None:
        """Read what was typed; None where nothing was.

        Raises:
            UsageError: it is no number, or out of range.
        """
        text = text.strip().replace(",", ".")
        if not text:
            return None
        try:
            value = int(text) if self.is_whole else float(text)
        except ValueError:
            value = self.minimum - 1
        if not self.minimum <= value <= self.maximum:  # neither is what is no number at all
            kind = "whole" if self.is_whole else "number"
            raise UsageError(f"session.options.{kind}", low=f"{self.minimum:g}", high=f"{self.maximum:g}")
        return value

    def format_value(self, options: ChatOptions) -> str:
        """Write the chosen value; empty where the preset holds."""
        value = getattr(options, self.name)
        return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)

    def format_preset(self, sampling: SamplingParams) -> str:
        """Write what holds where nothing is chosen; empty for no limit."""
        value = getattr(sampling, self.name, None)
        return "" if value is None else f"{value:g}"


OPTION_FIELDS: Final = (
    OptionField("temperature", 0, 2),
    OptionField("top_p", 0.01, 1),
    OptionField("top_k", 0, 1000, is_whole=True),
    OptionField("min_p", 0, 1),
    OptionField("presence_penalty", -2, 2),
    OptionField("max_tokens", 1, 1_000_000, is_whole=True),
    OptionField("thinking_budget", 0, 1_000_000, is_whole=True),
)


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

    def overridden_by(self, chat: ChatOptions) -> TurnOptions:
        """Have what was chosen for a chat win."""
        return replace(self, **overrides(chat))

    def sampling_from(self, preset: SamplingParams) -> SamplingParams:
        """Change a preset by what was chosen."""
        names = {field.name for field in fields(SamplingParams)}
        changes = {
            name: value for name, value in _values(self).items() if name in names and value is not None
        }
        return replace(preset, **changes)


def overrides(options: ChatOptions) -> dict[str, Any]:
    """Return what differs from the presets."""
    return {name: value for name, value in _values(options).items() if value is not None}


def _values(options: TurnOptions | ChatOptions) -> dict[str, Any]:
    return {field.name: getattr(options, field.name) for field in fields(options)}
