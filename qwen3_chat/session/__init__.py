"""The session of a chat: its turns, its tree of messages, its settings."""

from qwen3_chat.session.chat_session import ChatSession
from qwen3_chat.session.engine_choice import (
    EngineChoice,
    EngineFactory,
    LocalModel,
    ServedModel,
    switch_engine,
)
from qwen3_chat.session.turn_events import (
    ContextExceeded,
    MessagesDropped,
    QuestionWaits,
    ReplyNotStored,
    ReplyStarted,
    ReplyStored,
    Rewound,
    SessionEvent,
    SessionEventSink,
    StepFinished,
    Summarising,
    ThinkingRepeats,
    ToolCallFinished,
    ToolCallStarted,
    Turn,
    UserStored,
)
from qwen3_chat.session.turn_options import TurnOptions

__all__ = [
    "ChatSession",
    "ContextExceeded",
    "EngineChoice",
    "EngineFactory",
    "LocalModel",
    "MessagesDropped",
    "QuestionWaits",
    "ReplyNotStored",
    "ReplyStarted",
    "ReplyStored",
    "Rewound",
    "ServedModel",
    "SessionEvent",
    "SessionEventSink",
    "StepFinished",
    "Summarising",
    "ThinkingRepeats",
    "ToolCallFinished",
    "ToolCallStarted",
    "Turn",
    "TurnOptions",
    "UserStored",
    "switch_engine",
]
