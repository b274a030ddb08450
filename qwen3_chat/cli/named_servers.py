"""The servers that the user has named: profiles, states, rows of the model picker."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.config import read_settings
from qwen3_chat.errors import ConfigError, Qwen3ChatError
from qwen3_chat.models.picker import ServerRow
from qwen3_chat.servers import Endpoint, ServerProfile, ServerProfiles, read_profiles
from qwen3_chat.session import ServedModel
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR

if TYPE_CHECKING:
    from qwen3_chat.engine.remote.server_probe import ServerState

MAX_ROWS, MAX_SHOWN_NAMES = 6, 8


@dataclass(frozen=True, slots=True)
class _NamedServer:
    """What `--endpoint` takes, with what is known of the server before it is asked."""

    name: str
    profile: ServerProfile | None = None
    problem: str = ""


def load_server_profiles(settings_file: Path) -> ServerProfiles:
    """Read the servers that the user has named."""
    loaded = read_settings(settings_file)
    return read_profiles(loaded.settings.servers, loaded.make_error)


async def server_rows(
    settings_file: Path, startup_choice: ModelChoice
) -> AsyncGenerator[Sequence[ServerRow], None]:
    """Ask every server at once; yield all rows at the beginning, then whenever one has answered."""
    named = _named_servers(settings_file, startup_choice)
    states: dict[str, ServerState] = {}
    yield tuple(_rows(named, states))
    asked = {asyncio.create_task(_probe(one.profile)): one.name for one in named if one.profile}
    try:
        pending = set(asked)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            states |= {asked[task]: task.result() for task in done}
            yield tuple(_rows(named, states))
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def probe_named_servers(settings_file: Path) -> dict[str, ServerState | ConfigError]:
    """Ask every server that the settings name; one that can't be used has its error."""
    profiles = load_server_profiles(settings_file)
    states = await asyncio.gather(*map(_probe, profiles.usable.values()))
    return {**dict(zip(profiles.usable, states, strict=True)), **profiles.problems}


def _named_servers(settings_file: Path, startup_choice: ModelChoice) -> list[_NamedServer]:
    profiles = load_server_profiles(settings_file)
    named = [_NamedServer(name, profile) for name, profile in profiles.usable.items()]
    named += [_NamedServer(name, problem=str(error)) for name, error in profiles.problems.items()]
    url = startup_choice.endpoint
    if url is not None and url not in {one.name for one in named}:
        profile = ServerProfile("", Endpoint.parse(url), startup_choice.model)
        named.append(_NamedServer(url, profile))
    return named


async def _probe(profile: ServerProfile) -> ServerState:
    from qwen3_chat.engine.remote import RemoteSettings, resolve_access  # here: it takes 0.1 s
    from qwen3_chat.engine.remote.server_probe import ServerState, probe_server

    try:
        access = await asyncio.to_thread(resolve_access, profile, os.environ)  # a keyring may ask the user
    except Qwen3ChatError as error:
        return ServerState(failure=str(error))
    return await probe_server(RemoteSettings(profile.endpoint, profile.model, profile.kind, access))


def _rows(servers: Sequence[_NamedServer], states: Mapping[str, ServerState]) -> Iterator[ServerRow]:
    for one in servers:
        choice = ServedModel(one.name)
        if one.profile is None:
            yield ServerRow(one.name, t("ui.server.unusable"), choice, False, (one.problem,))
            continue
        row = ServerRow(one.name, t("ui.server.asking"), choice, endpoint_root=one.profile.endpoint.root)
        state = states.get(one.name)
        if state is None:
            yield row
        elif state.failure:
            yield replace(row, detail=t("ui.server.down"), is_reachable=False, about=(state.failure,))
        else:
            yield from _rows_of_running_server(row, one.profile, state)


def _rows_of_running_server(
    row: ServerRow, profile: ServerProfile, state: ServerState
) -> Iterator[ServerRow]:
    """Give a row for each model to choose from, or only one where the profile has chosen already."""
    from qwen3_chat.engine.remote.remote_model import short_name

    latency = t("ui.server.latency", milliseconds=round(state.latency_s * 1000))
    names = [profile.model] if profile.model else list(state.models)
    serves = t("ui.server.serves", name=row.title, models=_join_names(state.models))
    row = replace(row, is_reachable=True, about=(serves, *(lack.sentence for lack in state.missing_features)))
    for name in names[:MAX_ROWS]:
        detail = SEPARATOR.join((t("ui.server.up"), latency, short_name(name), state.label))
        choice = row.choice if profile.model else replace(row.choice, model=name)
        yield replace(row, detail=detail, choice=choice)


def _join_names(models: Sequence[str]) -> str:
    shown = list(models[:MAX_SHOWN_NAMES])
    if len(models) > MAX_SHOWN_NAMES:
        shown.append(t("ui.server.more", count=len(models) - MAX_SHOWN_NAMES))
    return ", ".join(shown)
