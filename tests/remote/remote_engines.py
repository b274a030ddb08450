"""The tests' requests, and remote engines at their servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from conformance.replies import Heard, hear
from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.engine.remote import ApiKey, RemoteEngine, RemoteSettings, ServerAccess, TimeoutPolicy
from qwen3_chat.request import ChatRequest, ToolSpec
from qwen3_chat.sampling import SamplingParams
from qwen3_chat.servers import Endpoint, ServerKind

__all__ = ["QUICK_RETRIES", "WEATHER", "Heard", "chat_request", "hear", "remote_engine_at"]

WEATHER = ToolSpec('{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}')
QUICK_RETRIES = TimeoutPolicy(
    connect_s=60,
    first_byte_s=60,
    between_pieces_s=60,
    batch_s=0,
    usage_s=60,
    query_s=60,
    max_attempts=2,
    retry_delay_s=0,
)
"""A policy without delays after an error, but with generous limits for a busy machine."""


def chat_request(text: str, mode: ThinkingMode = ThinkingMode.THINK, **options: object) -> ChatRequest:
    """Return a request of one message."""
    message = ChatMessage(Role.USER, text, mode_tag=None if mode is ThinkingMode.THINK else mode)
    values: dict[str, object] = {"sampling": SamplingParams(0.6, 0.95, 20), "seed": 1, **options}
    return ChatRequest(messages=(message,), mode=mode, **values)  # type: ignore[arg-type]


@asynccontextmanager
async def remote_engine_at(
    url: str,
    kind: ServerKind | None = None,
    key: ApiKey | None = None,
    timeouts: TimeoutPolicy = QUICK_RETRIES,
    n_ctx: int | None = None,
    access: ServerAccess | None = None,
    name: str = "",
) -> AsyncIterator[RemoteEngine]:
    """Open an engine at a server."""
    access = access or ServerAccess(key)
    engine = RemoteEngine(RemoteSettings(Endpoint.parse(url), None, kind, access, n_ctx, timeouts, name))
    try:
        yield engine
    finally:
        await engine.close()
