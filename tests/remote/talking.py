"""Requests that the tests send, and replies gathered from their events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from qwen3_chat.chat import ChatMessage, Role, SamplingParams, ThinkingMode, ToolCall
from qwen3_chat.engine.remote import Access, ApiKey, Patience, RemoteEngine, RemoteSettings
from qwen3_chat.events import (
    AnswerDelta,
    EngineEvent,
    EngineFailed,
    Notice,
    ReasoningDelta,
    ToolCallRequested,
    TurnFinished,
)
from qwen3_chat.request import ChatRequest, ToolSpec
from qwen3_chat.servers import Endpoint, ServerKind

WEATHER = ToolSpec('{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}')
QUICK = Patience(connect_s=5, first_byte_s=5, between_s=5, figures_s=0.2, question_s=5, attempts=2, pause_s=0)


def ask(text: str, mode: ThinkingMode = ThinkingMode.THINK, **options: object) -> ChatRequest:
    """Make a request of one message."""
    message = ChatMessage(Role.USER, text, mode_tag=None if mode is ThinkingMode.THINK else mode)
    values: dict[str, object] = {"sampling": SamplingParams(0.6, 0.95, 20), "seed": 1, **options}
    return ChatRequest(messages=(message,), mode=mode, **values)  # type: ignore[arg-type]


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


async def hear(engine: RemoteEngine, request: ChatRequest) -> Heard:
    """Take a reply to its end."""
    heard = Heard()
    async for event in engine.generate(request):
        heard.take(event)
    assert (heard.failure is None) != (heard.end is None)
    return heard


@asynccontextmanager
async def talking_to(
    url: str,
    kind: ServerKind | None = None,
    key: ApiKey | None = None,
    patience: Patience = QUICK,
    n_ctx: int | None = None,
    access: Access | None = None,
    name: str = "",
) -> AsyncIterator[RemoteEngine]:
    """Open an engine over a server."""
    access = access or Access(key)
    engine = RemoteEngine(RemoteSettings(Endpoint.parse(url), None, kind, access, n_ctx, patience, name))
    try:
        yield engine
    finally:
        await engine.close()
