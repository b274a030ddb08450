"""The events of a turn besides the engine's own: messages stored, messages dropped, a choice to make.

They are what `ask --jsonl` prints, so their tags and fields are fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine

from qwen3_chat.chat import ThinkingMode, ToolCall
from qwen3_chat.context_plan import ContextPolicy
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import StoreError
from qwen3_chat.events import EngineEvent, Event
from qwen3_chat.store.records import StoredMessage
from qwen3_chat.texts import t
from qwen3_chat.tools.call_context import ToolCallProgressed
from qwen3_chat.tools.tool_source import ToolServerStarting


class UserStored(Event, frozen=True):
    """The user's message, now stored; nothing else of the turn has happened yet."""

    message: StoredMessage


class ReplyStarted(Event, frozen=True):
    """The reply that starts now, already in the store.

    A reply that `continues` is the last message of the branch; its text comes again from the beginning.
    """

    message: StoredMessage
    mode: ThinkingMode
    continues: bool = False


class ReplyStored(Event, frozen=True):
    """The reply, complete or not, now stored."""

    message: StoredMessage


class ReplyNotStored(Event, frozen=True):
    """The reply, complete or not, which could not be stored; it is kept in memory and tried again."""

    message: StoredMessage
    key: str
    values: dict[str, str | int | float]

    @classmethod
    def from_error(cls, error: StoreError, message: StoredMessage) -> ReplyNotStored:
        """Return the event of a reply that met this error."""
        return cls(message, error.code.text_key, error.plain_values)

    @property
    def text(self) -> str:
        """The sentence for the user."""
        return t("session.reply_not_stored", reason=t(self.key, **self.values))


class QuestionWaits(Event, frozen=True):
    """The user's message is not stored yet, because another program holds the database; it is tried again."""

    key: str
    values: dict[str, str | int | float]

    @classmethod
    def from_error(cls, error: StoreError) -> QuestionWaits:
        """Return the event of an attempt that met this error."""
        return cls(error.code.text_key, error.plain_values)

    @property
    def text(self) -> str:
        """The sentence for the user."""
        return t("session.question_waits", reason=t(self.key, **self.values))


class Rewound(Event, frozen=True):
    """The branch cut back to the question, as these messages; what followed it stays stored."""

    messages: tuple[StoredMessage, ...]


class MessagesDropped(Event, frozen=True, tag="left_out"):
    """The ids of the messages that are not sent, as the chat does not fit; `summary` replaces them.

    The messages sent have `prompt_tokens`; with `reserve_tokens` for the answer they fit into `n_ctx`.
    `is_new` is True where the previous reply was written with other messages.
    """

    ids: tuple[int, ...]
    prompt_tokens: int
    reserve_tokens: int
    n_ctx: int
    summary: str = ""
    is_new: bool = False
    is_exact: bool = True

    @property
    def text(self) -> str:
        """The sentence for the user, with the summary below it."""
        if not self.ids:
            return t("session.all_sent")
        sentence = t(
            "session.summarised" if self.summary else "session.left_out",
            count=len(self.ids),
            prompt=_format_tokens(self.prompt_tokens, self.is_exact),
            reserve=self.reserve_tokens,
            n_ctx=self.n_ctx,
        )
        return "\n\n".join(part for part in (sentence, self.summary) if part)


class Summarising(Event, frozen=True):
    """The progress of a summary: the number of messages it covers, the tokens written so far."""

    messages: int
    tokens: int = 0


class ContextExceeded(Event, frozen=True):
    """A chat that does not fit, with nothing sent: the user has to choose a policy.

    `prompt_tokens` and `reserve_tokens` for the answer are more than `n_ctx`. The oldest `to_leave_out`
    messages would have to be dropped, 0 where that does not help; `larger_n_ctx` is a context that could be
    loaded.
    `continues` is True where the waiting turn is the rest of a reply, `must_call` where it must call a tool.
    """

    prompt_tokens: int
    reserve_tokens: int
    n_ctx: int
    to_leave_out: int = 0
    larger_n_ctx: int | None = None
    continues: bool = False
    is_exact: bool = True
    must_call: bool = False

    @property
    def code(self) -> ErrorCode:
        """The code for scripts, to which this event is an error."""
        return ErrorCode.CONTEXT_EXCEEDED

    @property
    def text(self) -> str:
        """The sentence for the user."""
        prompt = _format_tokens(self.prompt_tokens, self.is_exact)
        return t(self.code.text_key, prompt=prompt, reserve=self.reserve_tokens, n_ctx=self.n_ctx)

    @property
    def policies(self) -> tuple[ContextPolicy, ...]:
        """The policies to choose from."""
        shortening = (ContextPolicy.DROP, ContextPolicy.SUMMARISE) if self.to_leave_out else ()
        return (*shortening, *((ContextPolicy.ENLARGE,) if self.larger_n_ctx else ()))


class ToolCallStarted(Event, frozen=True):
    """A call that runs from now on: what is run, and by whose decision it may be."""

    call: ToolCall


class ToolCallFinished(Event, frozen=True):
    """A call that has its result, now stored as `message`, or was not allowed to run."""

    message: StoredMessage


class StepFinished(Event, frozen=True):
    """The end of a step: a reply of the model and the results of its calls; steps count from 1."""

    step: int


class ThinkingRepeats(Event, frozen=True):
    """Thinking that repeats itself: the user may prefer the answer now."""


SessionEvent = (
    Rewound
    | EngineEvent
    | UserStored
    | ReplyStarted
    | ReplyStored
    | ReplyNotStored
    | QuestionWaits
    | MessagesDropped
    | Summarising
    | ContextExceeded
    | ThinkingRepeats
    | ToolServerStarting
    | ToolCallStarted
    | ToolCallProgressed
    | ToolCallFinished
    | StepFinished
)

SessionEventSink = Callable[[SessionEvent], None]
"""A function that takes each event of a turn at once; it never waits."""

Turn = Callable[[SessionEventSink], Coroutine[None, None, None]]
"""A turn, or a load, to be run with the function that takes its events."""


def _format_tokens(tokens: int, is_exact: bool) -> str:
    return f"{tokens:,}" if is_exact else f"≈{tokens:,}"
