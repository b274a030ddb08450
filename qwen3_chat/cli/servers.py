"""Engines on servers, made from an address or a profile of the user's."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3_chat.cli.options import ModelChoice
from qwen3_chat.cli.server_rows import load_profiles
from qwen3_chat.engine import Engine
from qwen3_chat.servers import Endpoint, Profiles, ServerProfile, server_kind

if TYPE_CHECKING:
    from qwen3_chat.engine.remote import RemoteEngine


def served_engine(choice: ModelChoice, settings_file: Path) -> Engine:
    """Make the engine for `--endpoint`, a name or an address; other options win over what the profile says.

    Raises:
        UsageError: there is no such server, or its key is not there.
        ConfigError: the settings describe it in a way that can't be used.
    """
    assert choice.endpoint is not None
    profiles = load_profiles(settings_file)
    named = profiles.get(choice.endpoint)
    profile = named or ServerProfile("", Endpoint.parse(choice.endpoint))
    profile = replace(
        profile,
        model=choice.model or profile.model,
        kind=profile.kind if choice.server is None else server_kind(choice.server),
        n_ctx=choice.ctx or profile.n_ctx,
    )
    first = remote_engine(profile)
    others = _fallbacks(profile, profiles)
    if not others:
        return first
    from qwen3_chat.engine.remote import FallbackEngine

    return FallbackEngine(first, [(other.name, partial(remote_engine, other)) for other in others])


def remote_engine(profile: ServerProfile) -> RemoteEngine:
    """Make the engine for one server.

    Raises:
        UsageError: its key is not there.
    """
    from qwen3_chat.engine.remote import RemoteEngine, RemoteSettings, access_to  # here: it takes 0.1 s

    access = access_to(profile, os.environ)
    return RemoteEngine(
        RemoteSettings(
            profile.endpoint, profile.model, profile.kind, access, profile.n_ctx, name=profile.name
        )
    )


def _fallbacks(profile: ServerProfile, profiles: Profiles) -> list[ServerProfile]:
    """List who answers in whose place.

    Raises:
        ConfigError: one of them can't be used.
    """
    others = []
    while profile.fallback is not None:
        following = profiles.get(profile.fallback)
        assert following is not None  # reading the profiles has made sure
        others.append(following)
        profile = following
    return others
