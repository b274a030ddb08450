"""The generation options of a turn and of a chat: their ranges, their text forms, their precedence."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from qwen3_chat.context_plan import ContextPolicy
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.number_range import NumberRange
from qwen3_chat.record_copies import field_names, replace
from qwen3_chat.sampling import (
    MAX_TOKEN_LIMIT,
    SAMPLING_PARAMETERS,
    SamplingOverrides,
    SamplingParams,
)
from qwen3_chat.store.records import ChatOptions


class OptionField(Struct, frozen=True):
    """A field of `ChatOptions` with its smallest and its largest value."""

    name: str
    minimum: float
    maximum: float
    is_whole: bool = False

    @property
    def range(self) -> NumberRange:
        """The values that may be chosen."""
        return NumberRange(self.minimum, self.maximum, self.is_whole)

    def parse(self, text: str) -> float | int | None:
        """Return the value of a typed text; None for an empty text.

        Raises:
            UsageError: it is no number, or out of range.
        """
        text = text.strip().replace(",", ".")
        if not text:
            return None
        value = self.range.parse(text)
        if value is None:
            code = ErrorCode.WHOLE_NUMBER_OUT_OF_RANGE if self.is_whole else ErrorCode.NUMBER_OUT_OF_RANGE
            raise UsageError(code, low=f"{self.minimum:,}", high=f"{self.maximum:,}")
        return value

    def format_value(self, options: ChatOptions) -> str:
        """Return the chosen value as text; empty where the preset applies."""
        value = getattr(options, self.name)
        return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)

    def format_preset(self, sampling: SamplingParams) -> str:
        """Return the preset's value as text; empty for no limit."""
        value = getattr(sampling, self.name, None)
        return "" if value is None else f"{value:g}"


OPTION_FIELDS: Final = (
    *(
        OptionField(parameter.name, parameter.minimum, parameter.maximum, parameter.is_whole)
        for parameter in SAMPLING_PARAMETERS
    ),
    OptionField("max_tokens", 1, MAX_TOKEN_LIMIT, is_whole=True),
    OptionField("thinking_budget", 0, MAX_TOKEN_LIMIT, is_whole=True),
)


MAX_STEPS = 20
"""The most replies to one question unless the user says otherwise."""


class TurnOptions(SamplingOverrides, frozen=True):
    """The options of a turn; None leaves the preset of the mode."""

    seed: int | None = None
    max_tokens: int | None = None
    thinking_budget: int | None = None
    tools: tuple[str, ...] | None = None
    """The names of the tools on offer, whatever the chat offers; None leaves it to the chat."""
    max_steps: int = MAX_STEPS
    """The most replies to one question, each but the last followed by the results of its calls."""
    context_policy: ContextPolicy = ContextPolicy.ASK
    answer_schema: str = ""
    """The JSON schema that answers fit, as JSON; empty for any text."""

    def overridden_by(self, chat: ChatOptions) -> TurnOptions:
        """Return these options, overridden by those of a chat."""
        return replace(self, **overrides(chat), tools=chat.tools if self.tools is None else self.tools)

    def sampling_from(self, preset: SamplingParams) -> SamplingParams:
        """Return a preset, overridden by the chosen values."""
        names = set(field_names(SamplingParams))
        changes = {
            name: value for name, value in _values(self).items() if name in names and value is not None
        }
        return replace(preset, **changes)


def overrides(options: ChatOptions) -> dict[str, Any]:
    """Return the numbers that differ from the presets, by name; one that nobody can choose is none.

    Stored options may have been written by another version, or damaged.
    """
    values = _values(options)
    return {field.name: value for field in OPTION_FIELDS if (value := values[field.name]) in field.range}


def _values(options: TurnOptions | ChatOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in field_names(options)}
