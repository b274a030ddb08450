"""The parts of a conversation as pure values; identity is the store's concern."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import astuple

MESSAGE_START = "<|im_start|>"
"""The token with which every message begins in Qwen3's prompt."""

MESSAGE_END = "<|im_end|>"
"""The token with which every message ends."""

EARLY_STOPPING_TEXT = (
    "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking "
    "directly now.\n"
)
"""The text with which Qwen's own code ends the thinking early, without the tag that follows it."""


class Role(StrEnum):
    """The speaker of a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class ThinkingMode(StrEnum):
    """The thinking mode of a turn."""

    THINK = "think"
    NO_THINK = "no_think"

    @property
    def tag(self) -> str:
        """The soft switch as Qwen3 reads it."""
        return f"/{self.value}"

    @property
    def other(self) -> ThinkingMode:
        """The mode that the toggle leads to."""
        return ThinkingMode.NO_THINK if self is ThinkingMode.THINK else ThinkingMode.THINK


class ThinkingSupport(StrEnum):
    """The support of a model for switching its thinking on and off."""

    SWITCHABLE = "switchable"
    ALWAYS = "always"
    NEVER = "never"


class StopReason(StrEnum):
    """The reason why a reply ended."""

    END_OF_TURN = "end_of_turn"
    MAX_TOKENS = "max_tokens"
    CONTEXT_FULL = "context_full"
    TOOL_CALLS = "tool_calls"
    CANCELLED = "cancelled"
    ERROR = "error"


class ToolCall(Struct, frozen=True):
    """A function that the model asks for; `arguments` is the JSON object as text.

    A call that `is_repaired` was not written in the form that the model was told. If `values_are_text`, the
    arguments came without types, as in the XML form, and get those of the tool's schema.
    """

    name: str
    arguments: str
    is_repaired: bool = False
    values_are_text: bool = False


class ChatMessage(Struct, frozen=True):
    """One message of a conversation.

    `mode_tag` is the soft switch that the app appended; it is stored apart from what was typed, yet always
    rendered with it, so that the evaluated prefix stays the same. `token_ids` are the sampled ids of a reply,
    or of its end, where they are known: they record how its text was divided into tokens.
    """

    role: Role
    content: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    mode_tag: ThinkingMode | None = None
    token_ids: tuple[int, ...] = ()

    @property
    def sent_content(self) -> str:
        """The content as the model reads it: with the appended tag."""
        if self.mode_tag is None:
            return self.content
        gap = " " if self.content and not self.content[-1].isspace() else ""
        return f"{self.content}{gap}{self.mode_tag.tag}"


class Usage(Struct, frozen=True):
    """Tokens of one turn; `reused_tokens` of the prompt were in the KV cache already."""

    prompt_tokens: int = 0
    reused_tokens: int = 0
    reasoning_tokens: int = 0
    answer_tokens: int = 0

    @property
    def context_tokens(self) -> int:
        """The number of context cells that the turn filled."""
        return self.prompt_tokens + self.reasoning_tokens + self.answer_tokens


def sum_usage(usages: Iterable[Usage]) -> Usage:
    """Return the tokens of several replies together."""
    total = Usage()
    for usage in usages:
        total = Usage(*map(operator.add, astuple(total), astuple(usage)))
    return total


class Timings(Struct, frozen=True):
    """Seconds of one turn; `tokens_per_s` is the speed of decoding."""

    load_s: float = 0.0
    prefill_s: float = 0.0
    first_token_s: float = 0.0
    reasoning_s: float = 0.0
    decode_s: float = 0.0
    tokens_per_s: float = 0.0
    drafted_tokens: int = 0
    """The tokens that a draft model proposed."""
    accepted_tokens: int = 0
    """Those of them that the reply has."""
    draft_steps: int = 0
    """The steps in which it proposed any."""
    draft_pauses: int = 0
    """The number of pauses that drafting made because it was measured to be slower."""
    draft_speedup: float = 0.0
    """The speed of decoding with the attempts to draft : without, by measured times; 0 without any."""


class Shortfall(StrEnum):
    """The way in which a reply falls short of a whole answer."""

    EMPTY = "empty"
    ONLY_THINKING = "only_thinking"
    MAX_TOKENS = "max_tokens"
    MAX_TOKENS_IN_THINKING = "max_tokens_in_thinking"
    CONTEXT_FULL = "context_full"
    CONTEXT_FULL_IN_THINKING = "context_full_in_thinking"
    CANCELLED = "cancelled"
    ERROR = "error"


def find_shortfall(reply: ChatMessage, reason: StopReason | None) -> Shortfall | None:
    """Return how a reply falls short; None where it is whole, or still being written."""
    has_answer = bool(reply.content.strip() or reply.tool_calls)
    is_in_thinking = bool(reply.reasoning.strip()) and not has_answer
    match reason:
        case StopReason.END_OF_TURN if is_in_thinking:
            return Shortfall.ONLY_THINKING
        case StopReason.END_OF_TURN if not has_answer:
            return Shortfall.EMPTY
        case StopReason.MAX_TOKENS:
            return Shortfall.MAX_TOKENS_IN_THINKING if is_in_thinking else Shortfall.MAX_TOKENS
        case StopReason.CONTEXT_FULL:
            return Shortfall.CONTEXT_FULL_IN_THINKING if is_in_thinking else Shortfall.CONTEXT_FULL
        case StopReason.CANCELLED:
            return Shortfall.CANCELLED
        case StopReason.ERROR:
            return Shortfall.ERROR
        case _:
            return None
