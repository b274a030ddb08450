"""What can be chosen for a chat: the ranges, and texts read as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qwen3_chat.chat import SamplingParams
from qwen3_chat.errors import UsageError
from qwen3_chat.store.records import ChatOptions


@dataclass(frozen=True, slots=True)
class OptionField:
    """One field of `ChatOptions` with the least and the greatest value that it takes."""

    name: str
    low: float
    high: float
    is_whole: bool = False

    def read(self, text: str) -> float | int | None:
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
            value = self.low - 1
        if not self.low <= value <= self.high:  # neither is what is no number at all
            kind = "whole" if self.is_whole else "number"
            raise UsageError(f"session.options.{kind}", low=f"{self.low:g}", high=f"{self.high:g}")
        return value

    def write(self, options: ChatOptions) -> str:
        """Write the chosen value; empty where the preset holds."""
        value = getattr(options, self.name)
        return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)

    def preset(self, sampling: SamplingParams) -> str:
        """Write what holds where nothing is chosen; empty for no limit."""
        value = getattr(sampling, self.name, None)
        return "" if value is None else f"{value:g}"


FIELDS: Final = (
    OptionField("temperature", 0, 2),
    OptionField("top_p", 0.01, 1),
    OptionField("top_k", 0, 1000, is_whole=True),
    OptionField("min_p", 0, 1),
    OptionField("presence_penalty", -2, 2),
    OptionField("max_tokens", 1, 1_000_000, is_whole=True),
    OptionField("thinking_budget", 0, 1_000_000, is_whole=True),
)
