"""Requests that the tests send, and replies gathered from their events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from conformance.replies import Heard, hear
from qwen3_chat.chat import ChatMessage, Role, SamplingParams, ThinkingMode
from qwen3_chat.engine.remote import Access, ApiKey, Patience, RemoteEngine, RemoteSettings
from qwen3_chat.request import ChatRequest, ToolSpec
from qwen3_chat.servers import Endpoint, ServerKind

__all__ = ["QUICK", "WEATHER", "Heard", "ask", "hear", "talking_to"]

WEATHER = ToolSpec('{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}')
QUICK = Patience(
    connect_s=60,
    first_byte_s=60,
    between_s=60,
    gather_s=0,
    figures_s=60,
    question_s=60,
    attempts=2,
    pause_s=0,
)
"""Loses no time where nothing is wrong; where something is, a busy machine gets the time that it needs."""


def ask(text: str, mode: ThinkingMode = ThinkingMode.THINK, **options: object) -> ChatRequest:
    """Make a request of one message."""
    message = ChatMessage(Role.USER, text, mode_tag=None if mode is ThinkingMode.THINK else mode)
    values: dict[str, object] = {"sampling": SamplingParams(0.6, 0.95, 20), "seed": 1, **options}
    return ChatRequest(messages=(message,), mode=mode, **values)  # type: ignore[arg-type]


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
