"""A conversation in progress: the only turn loop in the code."""

from qwen3_chat.session.chat_session import ChatSession, TurnOptions
from qwen3_chat.session.turn_events import ReplyStarted, ReplyStored, Rewound, SessionEvent, UserStored

__all__ = [
    "ChatSession",
    "ReplyStarted",
    "ReplyStored",
    "Rewound",
    "SessionEvent",
    "TurnOptions",
    "UserStored",
]
