"""The events of a turn beside the engine's own: messages stored, messages dropped, a choice to make.

They are what `ask --jsonl` prints, so their tags and fields are fixed.
"""

from __future__ import annotations

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.context_plan import ContextPolicy
from qwen3_chat.events import EngineEvent, Event
from qwen3_chat.store.records import StoredMessage
from qwen3_chat.texts import t


class UserStored(Event, frozen=True):
    """The user's message is safe; nothing else has happened yet."""

    message: StoredMessage


class ReplyStarted(Event, frozen=True):
    """A reply has its place in the store.

    One that `continues` is the last message there is; its text comes again from the beginning.
    """

    message: StoredMessage
    mode: ThinkingMode
    continues: bool = False


class ReplyStored(Event, frozen=True):
    """The reply, complete or not, is safe."""

    message: StoredMessage


class Rewound(Event, frozen=True):
    """The branch ends with the question again, as these messages; what followed it stays stored."""

    messages: tuple[StoredMessage, ...]


class MessagesDropped(Event, frozen=True, tag="left_out"):
    """The chat does not fit: messages with these ids are not sent, `summary` stands for them.

    What is sent is `prompt_tokens`; with `reserve_tokens` for the answer it fits into `n_ctx`. It `is_new`
    where the reply before was written with other messages.
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
        """Say so, with the summary below."""
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
    """The model writes the summary of so many messages; so many tokens so far."""

    messages: int
    tokens: int = 0


class ContextExceeded(Event, frozen=True):
    """The chat does not fit, and the user has to say what is to be done: nothing was sent.

    `prompt_tokens` and `reserve_tokens` for the answer are more than `n_ctx`. The oldest `to_leave_out`
    messages would have to go, none of them where that is no way out; `larger_n_ctx` is a context that could
    be loaded. The turn that waits is the rest of a reply where it `continues` one.
    """

    prompt_tokens: int
    reserve_tokens: int
    n_ctx: int
    to_leave_out: int = 0
    larger_n_ctx: int | None = None
    continues: bool = False
    is_exact: bool = True

    @property
    def text(self) -> str:
        """Say so."""
        prompt = _format_tokens(self.prompt_tokens, self.is_exact)
        return t("session.exceeded", prompt=prompt, reserve=self.reserve_tokens, n_ctx=self.n_ctx)

    @property
    def policies(self) -> tuple[ContextPolicy, ...]:
        """What there is to choose from."""
        shorter = (ContextPolicy.DROP, ContextPolicy.SUMMARISE) if self.to_leave_out else ()
        return (*shorter, *((ContextPolicy.ENLARGE,) if self.larger_n_ctx else ()))


class ThinkingRepeats(Event, frozen=True):
    """The thinking goes round in circles: it may be better to have the answer now."""


SessionEvent = (
    Rewound
    | EngineEvent
    | UserStored
    | ReplyStarted
    | ReplyStored
    | MessagesDropped
    | Summarising
    | ContextExceeded
    | ThinkingRepeats
)


def _format_tokens(tokens: int, is_exact: bool) -> str:
    return f"{tokens:,}" if is_exact else f"≈{tokens:,}"
