"""The engine on another machine: a Qwen3 that some server offers over HTTP."""

from __future__ import annotations

from qwen3_chat.engine.remote.endpoint import ApiKey, Endpoint, key_for
from qwen3_chat.engine.remote.engine import RemoteEngine, RemoteSettings
from qwen3_chat.engine.remote.kinds import ServerKind, server_kind
from qwen3_chat.engine.remote.transport import Patience

__all__ = [
    "ApiKey",
    "Endpoint",
    "Patience",
    "RemoteEngine",
    "RemoteSettings",
    "ServerKind",
    "key_for",
    "server_kind",
]
