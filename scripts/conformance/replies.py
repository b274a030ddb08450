"""A reply, collected from its events as a session would see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from event_stream import events_of
from qwen3_chat.chat import ToolCall
from qwen3_chat.engine import Engine
from qwen3_chat.events import (
    AnswerDelta,
    EngineEvent,
    EngineFailed,
    Notice,
    ReasoningDelta,
    ToolCallRequested,
    TurnFinished,
)
from qwen3_chat.request import ChatRequest


@dataclass
class Heard:
    """A reply as the session would see it."""

    reasoning: str = ""
    answer: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    events: list[EngineEvent] = field(default_factory=list)
    failure: EngineFailed | None = None
    end: TurnFinished | None = None

    def take(self, event: EngineEvent) -> None:
        """Add an event; none may follow the last one of a reply."""
        assert not any((self.failure, self.end)), "nothing may follow the last event"
        self.events.append(event)
        match event:
            case ReasoningDelta(text=text):
                self.reasoning += text
            case AnswerDelta(text=text):
                self.answer += text
            case ToolCallRequested(call=call):
                self.calls.append(call)
            case Notice(key=key):
                self.notices.append(key)
            case EngineFailed():
                self.failure = event
            case TurnFinished():
                self.end = event
            case _:
                pass


React = Callable[[Heard, EngineEvent], Awaitable[bool]]
"""A function that acts on an event; it returns True to stop the reply."""


async def hear(engine: Engine, request: ChatRequest, react: React | None = None) -> Heard:
    """Return a reply after its end; `react` may act on each event, or stop the reply."""
    heard = Heard()
    stream = events_of(engine.generate, request)
    async with aclosing(stream):
        async for event in stream:
            heard.take(event)
            if react is not None and await react(heard, event):
                stream.cancel()
    assert (heard.failure is None) != (heard.end is None), "a reply has one end"
    return heard
