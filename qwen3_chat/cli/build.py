"""The composition root: makes engine, store and session from choices and settings."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.cli.options import ModelChoice
from qwen3_chat.cli.places import model_places
from qwen3_chat.cli.servers import served_engine
from qwen3_chat.config import Paths, Settings
from qwen3_chat.engine import Engine
from qwen3_chat.engine.local import LocalEngine
from qwen3_chat.engine.planner import ListDevices
from qwen3_chat.engine.snapshot_cabinet import SnapshotCabinet
from qwen3_chat.errors import StoreError, UsageError
from qwen3_chat.fit import Machine
from qwen3_chat.library import DEMO_FILE, find_model, installed_models, models_elsewhere
from qwen3_chat.request import Keeping, LoadSettings
from qwen3_chat.session import ChatSession, TurnOptions
from qwen3_chat.sizes import GIB
from qwen3_chat.store import Store

SEED_BITS = 31
NO_OPTIONS = TurnOptions()


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a command works with; closed by whoever opened it."""

    session: ChatSession
    store: Store
    engine: Engine


def model_file(choice: ModelChoice, settings: Settings, models: Path) -> Path:
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
        return find_model(models, wanted, models_elsewhere(model_places(settings)))
    found = installed_models(models)
    return found[0].path if found else DEMO_FILE


def load_settings_of(choice: ModelChoice, file: Path) -> LoadSettings:
    """Say how the file is loaded."""
    return LoadSettings(
        path=str(file.expanduser().absolute()),
        n_ctx=choice.ctx,
        n_threads=choice.threads,
        n_gpu_layers=choice.gpu_layers,
        n_cpu_moe=choice.cpu_moe,
        kv_type=choice.kv_type,
    )


def local_engine(wanted: LoadSettings, settings: Settings, paths: Paths) -> LocalEngine:
    """Make an engine that suits this machine and keeps evaluated chats beside the stored ones."""
    return LocalEngine(wanted, paths.engine_log, keeping=keeping_of(settings, paths), look=_look)


def keeping_of(settings: Settings, paths: Paths) -> Keeping:
    """Say what engines keep, and where."""
    return Keeping(str(paths.data), int(settings.snapshots_gib * GIB), calibrates=settings.calibrate)


async def _look(list_devices: ListDevices) -> Machine:
    from qwen3_chat.hardware import probe  # here: a screen is there before the machine is looked at

    return (await probe(list_devices)).machine


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
        file = model_file(choice, settings, paths.models)
        return local_engine(load_settings_of(choice, file), settings, paths)
    if choice.demo or choice.gguf is not None:
        raise UsageError("remote.or_local")
    return served_engine(choice, paths.settings_file)


@asynccontextmanager
async def open_runtime(
    choice: ModelChoice,
    settings: Settings,
    paths: Paths,
    chat: str | None,
    system: str | None = None,
    options: TurnOptions = NO_OPTIONS,
) -> AsyncGenerator[Runtime, None]:
    """Open the store, then the chat if one is named, with an engine that loads when first needed."""
    engine = make_engine(choice, settings, paths)
    store = await Store.open(paths.chats_file)
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
    store.chat_deleted = lambda chat_id: forget_chat(session.engine, chat_id)
    try:
        if chat is not None:
            await session.resume(await chat_id(store, chat))
            if system is not None:
                await session.set_system(system)
        yield Runtime(session, store, engine)
    finally:
        await session.engine.close()  # another one may have taken its place
        with suppress(StoreError):
            await _drop_orphans(SnapshotCabinet.of(keeping_of(settings, paths)), store)
        await store.close()


async def _drop_orphans(cabinet: SnapshotCabinet, store: Store) -> None:
    """Drop what is kept of chats that were deleted elsewhere."""
    if kept := cabinet.chat_ids():
        for chat_id in kept - {summary.id for summary in await store.chats()}:
            cabinet.remove(chat_id)


def forget_chat(engine: Engine, chat_id: int) -> None:
    """Drop what a local engine keeps of a chat that was deleted."""
    if isinstance(engine, LocalEngine):
        engine.forget_chat(chat_id)


async def chat_id(store: Store, wanted: str) -> int:
    """Read a chat's number, or `last`.

    Raises:
        UsageError: it is neither, or there is no chat yet.
    """
    if wanted == "last":
        if (latest := await store.latest_chat()) is None:
            raise UsageError("cli.no_last_chat")
        return latest.id
    if not wanted.isdecimal():
        raise UsageError("cli.bad_chat", wanted=wanted)
    return int(wanted)


def toggle_of(think: bool | None) -> ThinkingMode | None:
    """Read `--think` and `--no-think`."""
    if think is None:
        return None
    return ThinkingMode.THINK if think else ThinkingMode.NO_THINK
