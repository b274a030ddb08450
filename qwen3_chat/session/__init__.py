"""A conversation in progress: the only turn loop in the code."""

from qwen3_chat.session.chat_session import ChatSession
from qwen3_chat.session.engine_choice import EngineChoice, LocalModel, MakeEngine, ServedModel
from qwen3_chat.session.switching import use_engine
from qwen3_chat.session.turn_events import (
    ContextExceeded,
    LeftOut,
    ReplyStarted,
    ReplyStored,
    Rewound,
    SessionEvent,
    Summarising,
    ThinkingRepeats,
    UserStored,
)
from qwen3_chat.session.turn_options import TurnOptions

__all__ = [
    "ChatSession",
    "ContextExceeded",
    "EngineChoice",
    "LeftOut",
    "LocalModel",
    "MakeEngine",
    "ReplyStarted",
    "ReplyStored",
    "Rewound",
    "ServedModel",
    "SessionEvent",
    "Summarising",
    "ThinkingRepeats",
    "TurnOptions",
    "UserStored",
    "use_engine",
]
