"""The composition root: builds engine, store, session and model picker from choices and settings.

Each builder imports what it builds, so that a command pays only for what it uses.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.cli.named_servers import load_server_profiles, server_rows
from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.config import Paths, Settings, find_paths, read_settings
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.engine import Engine
from qwen3_chat.engine.kv_snapshot_store import KVSnapshotStore
from qwen3_chat.engine.load_planner import DeviceLister
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.errors import StoreError, UsageError
from qwen3_chat.models.fit import Machine
from qwen3_chat.models.hardware import Hardware, override_machine, probe_hardware
from qwen3_chat.models.hub import HubFile, ModelPulled, PullTarget, hubs_from, pull_target, resolve_target
from qwen3_chat.models.hub.model_pull import PullEventSink
from qwen3_chat.models.hub.retry_policy import DEFAULT_RETRY_POLICY
from qwen3_chat.models.library import (
    ModelDirs,
    find_local_copies,
    find_model_dirs,
    find_model_file,
    list_external_models,
    list_installed_models,
)
from qwen3_chat.models.picker import Downloads, ModelPicker
from qwen3_chat.request import LoadSettings, PersistenceOptions
from qwen3_chat.servers import Endpoint, ServerProfile, ServerProfiles, parse_server_kind
from qwen3_chat.session import ChatSession, EngineChoice, LocalModel, ServedModel, TurnOptions
from qwen3_chat.store import ChatStore
from qwen3_chat.texts.formatting import GIB

if TYPE_CHECKING:
    from qwen3_chat.engine.remote import RemoteEngine


def configured_model_dirs(settings: Settings | None = None) -> ModelDirs:
    """Find them by the settings, which are read unless they are given, and by the environment."""
    if settings is None:
        settings = read_settings(find_paths().settings_file).settings
    return find_model_dirs(os.environ, Path.home(), settings.model_folders)


def make_served_engine(choice: ModelChoice, settings_file: Path) -> Engine:
    """Make the engine for `--endpoint`, a name or an address; other options win over what the profile says.

    Raises:
        UsageError: there is no such server, or its key is not there.
        ConfigError: the settings describe it in a way that can't be used.
    """
    assert choice.endpoint is not None
    profiles = load_server_profiles(settings_file)
    named = profiles.get(choice.endpoint)
    profile = named or ServerProfile("", Endpoint.parse(choice.endpoint))
    profile = replace(
        profile,
        model=choice.model or profile.model,
        kind=profile.kind if choice.server is None else parse_server_kind(choice.server),
        n_ctx=choice.ctx or profile.n_ctx,
    )
    first = make_remote_engine(profile)
    others = _fallbacks(profile, profiles)
    if not others:
        return first
    from qwen3_chat.engine.remote import FallbackEngine

    return FallbackEngine(first, [(other.name, partial(make_remote_engine, other)) for other in others])


def make_remote_engine(profile: ServerProfile) -> RemoteEngine:
    """Make the engine for one server.

    Raises:
        UsageError: its key is not there.
    """
    from qwen3_chat.engine.remote import RemoteEngine, RemoteSettings, resolve_access  # here: it takes 0.1 s

    access = resolve_access(profile, os.environ)
    return RemoteEngine(
        RemoteSettings(
            profile.endpoint, profile.model, profile.kind, access, profile.n_ctx, name=profile.name
        )
    )


def _fallbacks(profile: ServerProfile, profiles: ServerProfiles) -> list[ServerProfile]:
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


SEED_BITS = 31
NO_TURN_OPTIONS = TurnOptions()


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a command works with; closed by whoever opened it."""

    session: ChatSession
    store: ChatStore
    engine: Engine


def resolve_model_file(choice: ModelChoice, settings: Settings, models_dir: Path) -> Path:
    """Find the file of the chosen model.

    Raises:
        UsageError: more than one model was named.
        ModelError: the model is not installed.
    """
    if sum((choice.demo, choice.model is not None, choice.gguf is not None)) > 1:
        raise UsageError("cli.one_model")
    if choice.gguf is not None:
        return choice.gguf
    if choice.demo:
        return DEMO_FILE
    if wanted := choice.model or settings.model:
        return find_model_file(models_dir, wanted, list_external_models(configured_model_dirs(settings)))
    found = list_installed_models(models_dir)
    return found[0].path if found else DEMO_FILE


def model_load_settings(choice: ModelChoice, file: Path) -> LoadSettings:
    """Say how the file is loaded."""
    return LoadSettings(
        path=str(file.expanduser().absolute()),
        n_ctx=choice.ctx,
        n_threads=choice.threads,
        n_gpu_layers=choice.gpu_layers,
        n_cpu_moe=choice.cpu_moe,
        kv_type=choice.kv_type,
    )


def make_local_engine(model_settings: LoadSettings, settings: Settings, paths: Paths) -> LocalEngine:
    """Make an engine that suits this machine and keeps evaluated chats beside the stored ones."""
    return LocalEngine(
        model_settings,
        paths.engine_log_file,
        persistence=persistence_options(settings, paths),
        probe_machine=_probe_machine,
    )


def persistence_options(settings: Settings, paths: Paths) -> PersistenceOptions:
    """Say what engines keep, and where."""
    return PersistenceOptions(
        str(paths.data), int(settings.snapshots_gib * GIB), calibrates=settings.calibrate
    )


async def _probe_machine(list_devices: DeviceLister) -> Machine:
    from qwen3_chat.models.hardware import (
        probe_hardware,  # here: a screen is there before the machine is looked at
    )

    return (await probe_hardware(list_devices)).machine


def make_engine(choice: ModelChoice, settings: Settings, paths: Paths) -> Engine:
    """Make the engine of the choice: the server that was named, else llama.cpp here.

    Raises:
        UsageError: the choice makes no sense.
        ConfigError: the settings describe the server in a way that can't be used.
        ModelError: the model is not installed.
    """
    if choice.endpoint is None:
        if choice.server is not None:
            raise UsageError("remote.server_without_endpoint")
        file = resolve_model_file(choice, settings, paths.models)
        return make_local_engine(model_load_settings(choice, file), settings, paths)
    if choice.demo or choice.gguf is not None:
        raise UsageError("remote.or_local")
    return make_served_engine(choice, paths.settings_file)


@asynccontextmanager
async def open_runtime(
    choice: ModelChoice,
    settings: Settings,
    paths: Paths,
    chat: str | None,
    system: str | None = None,
    options: TurnOptions = NO_TURN_OPTIONS,
) -> AsyncGenerator[Runtime, None]:
    """Open the store, then the chat if one is named, with an engine that loads when first needed."""
    engine = make_engine(choice, settings, paths)
    store = await ChatStore.open(paths.chats_file)
    session = ChatSession(
        engine,
        store,
        draw_seed=lambda: secrets.randbits(SEED_BITS),
        clock=time.monotonic,
        system=settings.system_prompt if system is None else system,
        options=replace(
            options,
            presence_penalty=settings.presence_penalty,
            context_policy=choice.context_policy or settings.context_policy,
            thinking_budget=settings.thinking_budget
            if options.thinking_budget is None
            else options.thinking_budget,
        ),
    )
    store.on_chat_deleted = lambda chat_id: remove_snapshot(session.engine, chat_id)
    try:
        if chat is not None:
            await session.resume(await resolve_chat_id(store, chat))
            if system is not None:
                await session.set_system(system)
        yield Runtime(session, store, engine)
    finally:
        await session.engine.close()  # another one may have taken its place
        with suppress(StoreError):
            await _remove_orphaned_snapshots(
                KVSnapshotStore.from_options(persistence_options(settings, paths)), store
            )
        await store.close()


async def _remove_orphaned_snapshots(snapshots: KVSnapshotStore, store: ChatStore) -> None:
    """Drop what is kept of chats that were deleted elsewhere."""
    if kept := snapshots.chat_ids():
        for chat_id in kept - {summary.id for summary in await store.chats()}:
            snapshots.remove(chat_id)


def remove_snapshot(engine: Engine, chat_id: int) -> None:
    """Drop what a local engine keeps of a chat that was deleted."""
    if isinstance(engine, LocalEngine):
        engine.remove_snapshot(chat_id)


async def resolve_chat_id(store: ChatStore, reference: str) -> int:
    """Read a chat's number, or `last`.

    Raises:
        UsageError: it is neither, or there is no chat yet.
    """
    if reference == "last":
        if (latest := await store.latest_chat()) is None:
            raise UsageError("cli.no_last_chat")
        return latest.id
    if not reference.isdecimal():
        raise UsageError("cli.bad_chat", wanted=reference)
    return int(reference)


def parse_think_option(think: bool | None) -> ThinkingMode | None:
    """Read `--think` and `--no-think`."""
    if think is None:
        return None
    return ThinkingMode.THINK if think else ThinkingMode.NO_THINK


def make_chosen_engine(
    choice: EngineChoice, startup_choice: ModelChoice, settings: Settings, paths: Paths
) -> Engine:
    """Make the engine of a choice; of what the app was started with, only the threads apply to any model.

    Raises:
        Qwen3ChatError: the choice makes no sense.
    """
    match choice:
        case LocalModel(path=path, n_ctx=n_ctx):
            return make_engine(
                ModelChoice(gguf=path, ctx=n_ctx, threads=startup_choice.threads), settings, paths
            )
        case ServedModel(url=url, model=model, kind=kind, n_ctx=n_ctx):
            served = ModelChoice(endpoint=url, model=model, server=kind, ctx=n_ctx)
            return make_engine(served, settings, paths)


def probe_hardware_sync(engine_log: Path) -> Hardware:
    """Probe this machine, with llama.cpp in a process that ends right after."""
    return asyncio.run(probe_this_machine(engine_log))


async def probe_this_machine(engine_log: Path) -> Hardware:
    """Probe this machine from within an event loop."""
    engine = LocalEngine(LoadSettings(path=""), engine_log)
    try:
        return await probe_hardware(engine.devices)
    finally:
        await engine.close()


def make_model_picker(
    session: ChatSession, startup_choice: ModelChoice, settings: Settings, paths: Paths
) -> ModelPicker:
    """Make the desk; the machine is looked at through the engine that runs, whichever that is then."""
    hubs = hubs_from(os.environ)
    places = configured_model_dirs(settings)

    async def fetch(wanted: PullTarget, report: PullEventSink) -> ModelPulled:
        def copies(file: HubFile) -> Iterable[Path]:
            return find_local_copies(file.name, file.size_bytes, file.sha256, places)

        return await pull_target(wanted, hubs, paths.models, report, copies)

    return ModelPicker(
        probe=partial(_probe_through_engine, session, paths),
        folder=paths.models,
        model_dirs=places,
        downloads=Downloads(lambda text: resolve_target(text, hubs, DEFAULT_RETRY_POLICY), fetch),
        make_engine=lambda choice: make_chosen_engine(choice, startup_choice, settings, paths),
        demo=LocalModel(DEMO_FILE),
        servers=partial(server_rows, paths.settings_file, startup_choice),
        override_machine=None
        if (startup_choice.vram, startup_choice.ram) == (None, None)
        else partial(_described_machine, startup_choice),
    )


def _described_machine(startup_choice: ModelChoice, this_machine: Machine) -> Machine:
    return override_machine(startup_choice.vram, startup_choice.ram, this_machine)


async def _probe_through_engine(session: ChatSession, paths: Paths) -> Hardware:
    engine = session.engine
    return (
        await probe_hardware(engine.devices)
        if isinstance(engine, LocalEngine)
        else await probe_this_machine(paths.engine_log_file)
    )
