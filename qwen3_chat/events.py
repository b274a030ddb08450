"""The events of a turn, as one union of types.

They are msgspec structs, not dataclasses: the same values travel between the processes and are what `ask
--jsonl` prints, one JSON object a line with a `type`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from qwen3_chat.chat import StopReason, ThinkingMode, Timings, ToolCall, Usage
from qwen3_chat.error_codes import CANCELLATION_CODES, ErrorCode
from qwen3_chat.errors import Cancelled, EngineError, Qwen3ChatError


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


class Event(msgspec.Struct, frozen=True, tag_field="type", tag=_snake_case):
    """The base of all events; `type` is the class's name in snake_case."""


class LoadProgressed(Event, frozen=True):
    """Progress of a load; `fraction` runs from 0 to 1."""

    fraction: float


class PrefillProgressed(Event, frozen=True):
    """Progress of evaluating the prompt: `done` of `total` tokens, `reused` of them from the KV cache."""

    done: int
    total: int
    reused: int


class ReasoningDelta(Event, frozen=True):
    """A piece of the thinking, with the count of thinking tokens so far."""

    text: str
    tokens: int = 0


class AnswerDelta(Event, frozen=True):
    """A piece of the answer, with the count of answer tokens so far."""

    text: str
    tokens: int = 0


class ToolCallRequested(Event, frozen=True):
    """A function call that the model asks for."""

    call: ToolCall


class Notice(Event, frozen=True):
    """A message for the user that is no error: a key of the text catalogue with its values."""

    key: str
    values: dict[str, str | int | float] = {}


class TurnFinished(Event, frozen=True):
    """The end of a reply, complete or stopped; `token_ids` are the sampled ids, special ones included."""

    stop_reason: StopReason
    mode: ThinkingMode
    usage: Usage
    timings: Timings
    seed: int
    token_ids: tuple[int, ...] = ()


def error_from_text_key(key: str, values: Mapping[str, str | int | float]) -> EngineError:
    """Return the error of a sentence with its values, as they travel between the processes."""
    code = ErrorCode.from_text_key(key)
    if code.text_key != key:  # a sentence of another version, which is not in the catalogue of this one
        return EngineError(ErrorCode.UNEXPECTED_FAILURE, error=key)
    return (Cancelled if code in CANCELLATION_CODES else EngineError)(code, **values)


class EngineFailed(Event, frozen=True):
    """The error that ends a stream, as its last event: the key of its sentence with the values."""

    key: str
    values: dict[str, str | int | float] = {}

    @classmethod
    def from_error(cls, error: Qwen3ChatError) -> EngineFailed:
        """Return the event with which an error ends a stream."""
        return cls(error.code.text_key, error.plain_values)

    @property
    def code(self) -> ErrorCode:
        """The code of the error."""
        return ErrorCode.from_text_key(self.key)

    @property
    def text(self) -> str:
        """The sentence for the user."""
        return str(self.to_error())

    def to_error(self) -> EngineError:
        """Return the error that the event stands for."""
        return error_from_text_key(self.key, self.values)


EngineEvent = (
    LoadProgressed
    | PrefillProgressed
    | ReasoningDelta
    | AnswerDelta
    | ToolCallRequested
    | Notice
    | TurnFinished
    | EngineFailed
)

EventSink = Callable[[EngineEvent], None]
"""A function that takes each event at once; it never waits."""
