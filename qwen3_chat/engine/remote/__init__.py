"""The engine on another machine: a Qwen3 that some server offers over HTTP."""

from __future__ import annotations

from qwen3_chat.engine.remote.fallback_engine import FallbackEngine
from qwen3_chat.engine.remote.http_transport import TimeoutPolicy
from qwen3_chat.engine.remote.remote_engine import RemoteEngine
from qwen3_chat.engine.remote.server_access import (
    ApiKey,
    ServerAccess,
    key_from_environment,
    resolve_access,
    resolve_secret,
)
from qwen3_chat.engine.remote.server_probe import RemoteSettings

__all__ = [
    "ApiKey",
    "FallbackEngine",
    "RemoteEngine",
    "RemoteSettings",
    "ServerAccess",
    "TimeoutPolicy",
    "key_from_environment",
    "resolve_access",
    "resolve_secret",
]
