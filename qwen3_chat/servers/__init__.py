"""The servers that a user names: where each is, how it is opened, what it is."""

from __future__ import annotations

from qwen3_chat.servers.endpoint import Endpoint
from qwen3_chat.servers.profile import KeySource, Secret, ServerKind, ServerProfile, server_kind
from qwen3_chat.servers.reading import Profiles, read_profiles

__all__ = [
    "Endpoint",
    "KeySource",
    "Profiles",
    "Secret",
    "ServerKind",
    "ServerProfile",
    "read_profiles",
    "server_kind",
]
