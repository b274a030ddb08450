"""What happens during a turn beside the engine's own events: what was stored."""

from __future__ import annotations

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.events import EngineEvent, Event
from qwen3_chat.store.records import StoredMessage


class UserStored(Event, frozen=True):
    """The user's message is safe; nothing else has happened yet."""

    message: StoredMessage


class ReplyStarted(Event, frozen=True):
    """A reply has its place in the store; messages whose ids are in `left_out` are not sent.

    One that `continues` is the last message there is; its text comes again from the beginning.
    """

    message: StoredMessage
    mode: ThinkingMode
    left_out: tuple[int, ...] = ()
    continues: bool = False


class ReplyStored(Event, frozen=True):
    """The reply, complete or not, is safe."""

    message: StoredMessage


class Rewound(Event, frozen=True):
    """The branch ends with the question again, as these messages; what followed it stays stored."""

    messages: tuple[StoredMessage, ...]


SessionEvent = Rewound | EngineEvent | UserStored | ReplyStarted | ReplyStored
