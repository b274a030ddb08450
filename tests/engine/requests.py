"""Requests to an engine, and the events of its replies."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from event_stream import EventStream
from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.events import AnswerDelta, EngineEvent, ReasoningDelta, TurnFinished
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest
from qwen3_chat.sampling import SamplingParams

GREEDY = SamplingParams(temperature=0, top_p=1, top_k=0)
THINKING = SamplingParams(temperature=0.6, top_p=0.95, top_k=20)


def user_message(text: str) -> ChatMessage:
    return ChatMessage(Role.USER, text)


def assistant_message(text: str) -> ChatMessage:
    return ChatMessage(Role.ASSISTANT, text)


def chat_request(*messages: ChatMessage, **changes: Any) -> ChatRequest:
    """Return a greedy request in no-think mode, with changes."""
    request = ChatRequest(messages, ThinkingMode.NO_THINK, GREEDY, seed=1)
    return replace(request, **changes)


async def collect_events(events: EventStream[EngineEvent]) -> list[EngineEvent]:
    async with aclosing(events):
        return [event async for event in events]


def text_of(events: list[EngineEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, ReasoningDelta | AnswerDelta))


def end_of(events: list[EngineEvent]) -> TurnFinished:
    end = events[-1]
    assert isinstance(end, TurnFinished), end
    return end
