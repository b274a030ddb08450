"""The servers that the user has named: profiles, states, rows of the model picker."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.config import read_settings
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ConfigError, Qwen3ChatError
from qwen3_chat.record_copies import replace
from qwen3_chat.servers import Endpoint, ServerProfile, ServerProfiles, read_profiles
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR

if TYPE_CHECKING:
    from qwen3_chat.engine.remote.server_probe import ServerState
    from qwen3_chat.models.picker import ServerRow

MAX_ROWS, MAX_SHOWN_NAMES = 6, 8
_FAILED_STATES = {
    ErrorCode.SERVER_BUSY: "ui.server.busy",
    ErrorCode.SERVER_LOADING: "ui.server.loading",
    ErrorCode.SERVER_KEY_REFUSED: "ui.server.key_refused",
    ErrorCode.SERVER_CERTIFICATE_UNTRUSTED: "ui.server.unusable",
    ErrorCode.SERVER_NEEDS_HTTPS: "ui.server.unusable",
    ErrorCode.SERVER_WITHOUT_HTTPS: "ui.server.unusable",
    ErrorCode.SERVER_PATH_NOT_FOUND: "ui.server.unusable",
    ErrorCode.SERVER_MOVED: "ui.server.unusable",
    ErrorCode.NOT_A_CHAT_SERVER: "ui.server.unusable",
    ErrorCode.API_KEY_VARIABLE_MISSING: "ui.server.unusable",
}
"""The words for servers that answer without models, and for those that can't be asked; others are down."""


class _NamedServer(Struct, frozen=True):
    """A server under the name that `--endpoint` takes, with its profile or the problem of its entry."""

    name: str
    profile: ServerProfile | None = None
    problem: str = ""


def load_server_profiles(settings_file: Path) -> ServerProfiles:
    """Return the servers that the user has named.

    Here and not in the composition root, which imports this module.
    """
    loaded = read_settings(settings_file)
    return read_profiles(loaded.settings.servers, loaded.make_error)


async def server_rows(
    settings_file: Path, startup_choice: ModelChoice
) -> AsyncGenerator[Sequence[ServerRow], None]:
    """Probe all servers at once; yield all rows at the beginning, then whenever a server has answered."""
    servers = _named_servers(settings_file, startup_choice)
    states: dict[str, ServerState] = {}
    yield tuple(_rows(servers, states))
    names = {asyncio.create_task(_probe(server.profile)): server.name for server in servers if server.profile}
    try:
        pending = set(names)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            states |= {names[task]: task.result() for task in done}
            yield tuple(_rows(servers, states))
    finally:
        for task in names:
            task.cancel()
        await asyncio.gather(*names, return_exceptions=True)


async def probe_named_servers(settings_file: Path) -> dict[str, ServerState | ConfigError]:
    """Probe every server that the settings name; an entry that can't be used has its error instead."""
    profiles = load_server_profiles(settings_file)
    states = await asyncio.gather(*map(_probe, profiles.usable.values()))
    return {**dict(zip(profiles.usable, states, strict=True)), **profiles.problems}


async def find_missing_parsers(
    settings_file: Path, states: Mapping[str, ServerState | ConfigError]
) -> dict[str, str]:
    """Have the model of each probed server call a tool; return what the servers lack to read calls."""
    from qwen3_chat.engine.remote import RemoteSettings, resolve_access
    from qwen3_chat.engine.remote.call_check import find_missing_parser

    async def check(profile: ServerProfile, state: ServerState) -> str:
        access = await asyncio.to_thread(resolve_access, profile, os.environ)
        settings = RemoteSettings(profile.endpoint, profile.model, profile.kind, access)
        return await find_missing_parser(settings, state)

    usable = load_server_profiles(settings_file).usable
    checked = {
        name: check(usable[name], state)
        for name, state in states.items()
        if name in usable and not isinstance(state, ConfigError) and not state.failure
    }
    lacks = await asyncio.gather(*checked.values())
    return {name: lack for name, lack in zip(checked, lacks, strict=True) if lack}


def _named_servers(settings_file: Path, startup_choice: ModelChoice) -> list[_NamedServer]:
    profiles = load_server_profiles(settings_file)
    servers = [_NamedServer(name, profile) for name, profile in profiles.usable.items()]
    servers += [_NamedServer(name, problem=str(error)) for name, error in profiles.problems.items()]
    url = startup_choice.endpoint
    if url is not None and url not in {server.name for server in servers}:
        profile = ServerProfile("", Endpoint.parse(url), startup_choice.model)
        servers.append(_NamedServer(url, profile))
    return servers


async def _probe(profile: ServerProfile) -> ServerState:
    from qwen3_chat.engine.remote import RemoteSettings, resolve_access  # here: it takes 0.1 s
    from qwen3_chat.engine.remote.server_probe import ServerState, probe_server

    try:
        access = await asyncio.to_thread(resolve_access, profile, os.environ)  # a keyring may ask the user
    except Qwen3ChatError as error:
        return ServerState(failure=error)
    return await probe_server(RemoteSettings(profile.endpoint, profile.model, profile.kind, access))


def _rows(servers: Sequence[_NamedServer], states: Mapping[str, ServerState]) -> Iterator[ServerRow]:
    from qwen3_chat.models.picker import ServerRow  # here: `--endpoint NAME` needs the profiles only
    from qwen3_chat.session import ServedModel

    for server in servers:
        choice = ServedModel(server.name)
        if server.profile is None:
            yield ServerRow(server.name, t("ui.server.unusable"), choice, False, (server.problem,))
            continue
        row = ServerRow(
            server.name, t("ui.server.asking"), choice, endpoint_root=server.profile.endpoint.root
        )
        state = states.get(server.name)
        if state is None:
            yield row
        elif state.failure:
            detail = t(_FAILED_STATES.get(state.failure.code, "ui.server.down"))
            yield replace(row, detail=detail, is_reachable=False, about=(str(state.failure),))
        else:
            yield from _rows_of_running_server(row, server.profile, state)


def _rows_of_running_server(
    row: ServerRow, profile: ServerProfile, state: ServerState
) -> Iterator[ServerRow]:
    """Yield a row for each model to choose from, or a single row where the profile has chosen a model."""
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
