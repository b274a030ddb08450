"""The engine on another machine: a Qwen3 that some server offers over HTTP."""

from __future__ import annotations

from qwen3_chat.engine.remote.access import Access, ApiKey
from qwen3_chat.engine.remote.engine import RemoteEngine
from qwen3_chat.engine.remote.fallback import FallbackEngine
from qwen3_chat.engine.remote.keys import access_to, key_at, key_for
from qwen3_chat.engine.remote.state import RemoteSettings
from qwen3_chat.engine.remote.transport import Patience

__all__ = [
    "Access",
    "ApiKey",
    "FallbackEngine",
    "Patience",
    "RemoteEngine",
    "RemoteSettings",
    "access_to",
    "key_at",
    "key_for",
]
