"""The composition root: builds engine, store, session and model picker from choices and settings.

Each builder imports what it builds, so that a command pays only for what it uses: `rm` loads no engine, `ask`
neither the hub nor the model picker.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from qwen3_chat import __version__
from qwen3_chat.cli.engine_composition import (
    adapted_file,
    configured_model_dirs,
    make_chosen_engine,
    make_engine,
    persistence_options,
)
from qwen3_chat.cli.mcp_source import McpSource
from qwen3_chat.cli.shared_options import ModelChoice, ToolOptions, parse_adapters
from qwen3_chat.config import Paths, Settings
from qwen3_chat.config.paths import secret_paths
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import StoreError, UsageError
from qwen3_chat.record_copies import field_names, replace
from qwen3_chat.request import PersistenceOptions
from qwen3_chat.sampling import SAMPLING_PARAMETERS
from qwen3_chat.texts import current_language, t

if TYPE_CHECKING:
    from qwen3_chat.config.settings_store import SettingsStore
    from qwen3_chat.engine import Engine
    from qwen3_chat.engine.warm_client import WarmEngine
    from qwen3_chat.engine.wire import DeviceLister, MeasuredDevice
    from qwen3_chat.interface_log import InterfaceLog
    from qwen3_chat.mcp.server_administration import ServerAdministration
    from qwen3_chat.mcp.tool_list import ToolCatalogue
    from qwen3_chat.models.hardware import Hardware
    from qwen3_chat.models.hub import HubFile, ModelPulled, PullTarget
    from qwen3_chat.models.hub.model_pull import PullEventSink
    from qwen3_chat.models.picker import ModelPicker
    from qwen3_chat.session import ChatSession, EngineChoice, TurnOptions
    from qwen3_chat.store import ChatStore
    from qwen3_chat.tools.built_in_tools import Toolbox
    from qwen3_chat.tools.consent import ConsentPrompt, ConsentRules
    from qwen3_chat.tools.tool_runner import ToolRunner
    from qwen3_chat.tools.tool_settings import ToolSettings

SEED_BITS = 31
TERMINAL_VARIABLES = ("TERM", "TERM_PROGRAM", "COLORTERM")
MAX_VALUE_CHARS = 40


class Runtime(Struct, frozen=True):
    """The objects that a command works with; the context that opened them closes them."""

    session: ChatSession
    store: ChatStore
    engine: Engine
    mcp: McpSource


@asynccontextmanager
async def open_runtime(
    choice: ModelChoice,
    settings: Settings,
    paths: Paths,
    chat: str | None,
    system: str | None = None,
    options: TurnOptions | None = None,
    *,
    even_without_file: bool = False,
    unprotected_python: bool = False,
    mcp_file: Path | None = None,
    warm: WarmEngine | None = None,
) -> AsyncGenerator[Runtime, None]:
    """Open the store, then the chat if one is named, with an engine that loads when first needed.

    `even_without_file` opens an empty store where the database can't be created; `unprotected_python` runs
    the code of models without the jail; `mcp_file` describes MCP servers that are known beside those of our
    own file; for `warm`, see `make_local_engine`.
    """
    from qwen3_chat.store import ChatStore
    from qwen3_chat.tools.built_in_tools import Toolbox

    engine = make_engine(choice, settings, paths, warm)
    store = await ChatStore.open(paths.chats_file, even_without_file=even_without_file)
    mcp = McpSource(paths, mcp_file, store.chat_folder)
    toolbox = Toolbox(tool_settings(settings, paths, store, unprotected_python=unprotected_python), mcp)
    session = make_session(engine, store, choice, settings, system, options, toolbox)
    store.on_chat_deleted = lambda chat_id: remove_snapshot(session.engine, chat_id)
    try:
        if chat is not None:
            await session.resume(await resolve_chat_id(store, chat))
            if system is not None:
                await session.set_system(system)
        yield Runtime(session, store, engine, mcp)
    finally:
        await toolbox.close()
        await mcp.close()
        await session.engine.close()  # another one may have taken its place
        with suppress(StoreError):
            await _remove_orphaned_snapshots(persistence_options(settings, paths), store)
        await store.close()


@asynccontextmanager
async def open_chat_runtime(
    choice: ModelChoice, settings: Settings, paths: Paths, chat: str | None, tools: ToolOptions
) -> AsyncGenerator[Runtime, None]:
    """Open what the app and the plain chat work with, without a file for the chats where there can be none.

    Raises:
        Qwen3ChatError: something named on the command line is missing or can't be used.
    """
    from qwen3_chat.session import TurnOptions

    unprotected = tools.runs_python_unprotected
    require_confinement(tools.names or (), unprotected_python=unprotected)
    async with open_runtime(
        choice,
        settings,
        paths,
        chat,
        options=TurnOptions(tools=tools.names),
        even_without_file=True,
        unprotected_python=unprotected,
        mcp_file=tools.mcp_file,
    ) as runtime:
        runtime.mcp.require_servers(tools.names or ())
        yield runtime


@asynccontextmanager
async def open_interface_log(paths: Paths, interface: str) -> AsyncGenerator[InterfaceLog, None]:
    """Open the log of the interface with a line about this run; while it is open, it gets stray failures.

    An error that leaves the context is not written here: `cli` does that for every command.
    """
    from qwen3_chat.interface_log import InterfaceLog  # here: `rm` needs no event loop

    log = InterfaceLog(paths.interface_log_file)
    log.write(describe_run(interface, os.environ))
    try:
        with log.stray_failures():
            yield log
    finally:
        log.flush()
        log.write("the interface ended")


def describe_run(interface: str, environ: Mapping[str, str]) -> str:
    """Return the versions, the system, the terminal and the language of this run in one line."""
    system = platform.uname()
    columns, rows = shutil.get_terminal_size()
    facts = (
        f"qwen3-chat {__version__} ({interface})",
        f"Python {platform.python_version()}",
        f"{system.system} {system.release} {system.machine}",
        *(f"{name}={environ.get(name, '')[:MAX_VALUE_CHARS]!a}" for name in TERMINAL_VARIABLES),
        f"{columns} × {rows}",
        f"language {current_language().value}",
    )
    return " · ".join(facts)


def make_session(
    engine: Engine,
    store: ChatStore,
    choice: ModelChoice,
    settings: Settings,
    system: str | None = None,
    options: TurnOptions | None = None,
    toolbox: Toolbox | None = None,
) -> ChatSession:
    """Make a session under the settings; what `system` and `options` choose overrides them."""
    from qwen3_chat.session import ChatSession, TurnOptions
    from qwen3_chat.store.records import ChatOptions

    options = options or TurnOptions()
    return ChatSession(
        engine,
        store,
        draw_seed=_draw_seed,
        clock=time.monotonic,
        system=settings.system_prompt if system is None else system,
        toolbox=toolbox,
        chat_options=ChatOptions(tools=settings.tools or None),
        options=replace(
            options,
            **_configured_sampling(settings),
            context_policy=choice.context_policy or settings.context_policy,
            thinking_budget=settings.thinking_budget
            if options.thinking_budget is None
            else options.thinking_budget,
        ),
    )


def _draw_seed() -> int:
    import secrets  # here: few commands draw one

    return secrets.randbits(SEED_BITS)


def tool_settings(
    settings: Settings, paths: Paths, store: ChatStore | None = None, *, unprotected_python: bool = False
) -> ToolSettings:
    """Return the settings of the tools; without a store they write nothing."""
    from qwen3_chat.config.paths import expand_home
    from qwen3_chat.tools.tool_settings import ToolSettings

    return ToolSettings(
        chat_folder=None if store is None else store.chat_folder,
        runs_unprotected=unprotected_python,
        folders=tuple(expand_home(folder) for folder in settings.tool_folders),
        private_paths=(paths.config, paths.data, paths.logs, *secret_paths(os.environ)),
        private_hosts=frozenset(settings.private_hosts),
    )


def make_tool_catalogue(
    settings: Settings,
    paths: Paths,
    mcp: McpSource | None = None,
) -> ToolCatalogue:
    """Make the list of all tools; without `mcp` it has the servers of our own file, none of which runs."""
    from qwen3_chat.mcp.config_file import load_servers as load_own
    from qwen3_chat.mcp.tool_list import ToolCatalogue
    from qwen3_chat.tools.permission_file import PermissionFile

    return ToolCatalogue(
        tool_settings(settings, paths),
        PermissionFile(paths.permissions_file),
        paths.mcp_pins_file,
        mcp.servers if mcp is not None else partial(load_own, paths.mcp_file),
        make_server_administration(paths, mcp),
    )


def make_server_administration(paths: Paths, mcp: McpSource | None = None) -> ServerAdministration:
    """Make what lists and changes the MCP servers; without `mcp`, none of them runs."""
    from qwen3_chat.mcp.server_administration import ServerAdministration
    from qwen3_chat.mcp.tool_pins import PinFile
    from qwen3_chat.tools.permission_file import PermissionFile

    return ServerAdministration(
        paths.mcp_file,
        paths.logs,
        paths.mcp_tokens,
        PermissionFile(paths.permissions_file),
        PinFile(paths.mcp_pins_file),
        os.environ,
        mcp.servers if mcp is not None else None,
        (lambda: mcp.tools) if mcp is not None else None,
    )


def require_confinement(tool_names: Collection[str], *, unprotected_python: bool) -> None:
    """Make sure that the code of models can be confined, if they may run any.

    Raises:
        UsageError: it can't, and the user has not chosen to run it nevertheless.
    """
    if "python" not in tool_names:
        return
    from qwen3_chat.tools.python_tool import python_problem
    from qwen3_chat.tools.tool_settings import ToolSettings

    if problem := python_problem(ToolSettings(runs_unprotected=unprotected_python)):
        raise UsageError(ErrorCode.PYTHON_NOT_CONFINED, reason=t(f"jail.{problem}"))


def make_tool_runner(
    paths: Paths, rules: ConsentRules | None = None, ask: ConsentPrompt | None = None
) -> ToolRunner:
    """Make the runner of tools under the standing permissions; without `ask`, nobody can be asked."""
    from qwen3_chat.tools.permission_file import PermissionFile
    from qwen3_chat.tools.tool_runner import ToolRunner

    return ToolRunner(rules, ask, permission_file=PermissionFile(paths.permissions_file))


def _configured_sampling(settings: Settings) -> dict[str, Any]:
    """Return the sampling parameters that are settings, by name."""
    configurable = set(field_names(Settings))
    return {
        parameter.name: getattr(settings, parameter.name)
        for parameter in SAMPLING_PARAMETERS
        if parameter.name in configurable
    }


async def _remove_orphaned_snapshots(persistence: PersistenceOptions, store: ChatStore) -> None:
    """Remove the snapshots of chats that another process of the app deleted."""
    from qwen3_chat.engine.kv_snapshot_store import KVSnapshotStore

    if store.read_only_reason is not None:  # it may have been empty or old for want of a better one
        return
    snapshots = KVSnapshotStore.from_options(persistence)
    if snapshot_ids := snapshots.chat_ids():
        for chat_id in snapshot_ids - {summary.id for summary in await store.chats()}:
            snapshots.remove(chat_id)


def remove_snapshot(engine: Engine, chat_id: int) -> None:
    """Remove a local engine's snapshot of a chat that was deleted."""
    from qwen3_chat.engine.local_engine import LocalEngine

    if isinstance(engine, LocalEngine):
        engine.remove_snapshot(chat_id)


async def resolve_chat_id(store: ChatStore, reference: str) -> int:
    """Return the id of the chat that is named by its number or as `last`.

    Raises:
        UsageError: it is neither, or there is no chat yet.
    """
    if reference == "last":
        if (latest := await store.latest_chat()) is None:
            raise UsageError(ErrorCode.LAST_CHAT_MISSING)
        return latest.id
    from qwen3_chat.store.records import MAX_ID_DIGITS

    if not reference.isdecimal() or len(reference) > MAX_ID_DIGITS:
        raise UsageError(ErrorCode.CHAT_REFERENCE_INVALID, wanted=reference)
    return int(reference)


def probe_hardware_sync(paths: Paths) -> Hardware:
    """Probe this machine, with llama.cpp in a process that ends right after."""
    import asyncio  # here: `rm` needs no event loop

    with probing_status() as on_measure:
        return asyncio.run(probe_this_machine(paths, on_measure))


@contextmanager
def probing_status() -> Iterator[Callable[[], None]]:
    """Say on a terminal what a command waits for; yield what to call once the machine's speed is measured."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield do_nothing
        return
    with console.status(t("ui.models.looking")) as status:
        yield lambda: status.update(t("hardware.measuring"))


def do_nothing() -> None:
    """Do nothing."""


async def probe_this_machine(paths: Paths, on_measure: Callable[[], None] = do_nothing) -> Hardware:
    """Probe this machine from within an event loop; call `on_measure` before its speed is measured."""
    from qwen3_chat.engine.llama_build import BuildFolder
    from qwen3_chat.engine.worker_process import list_devices

    environment = BuildFolder(paths.builds).environment()
    return await _probe_and_measure(
        partial(list_devices, paths.engine_log_file, environment=environment), paths, on_measure
    )


async def _probe_through_engine(session: ChatSession, paths: Paths) -> Hardware:
    """Probe this machine through the engine in use, or in a process of its own where that is a server."""
    from qwen3_chat.engine.local_engine import LocalEngine

    engine = session.engine
    if isinstance(engine, LocalEngine):
        return await _probe_and_measure(engine.devices, paths)
    return await probe_this_machine(paths)


async def _probe_and_measure(
    list_devices: DeviceLister, paths: Paths, on_measure: Callable[[], None] = do_nothing
) -> Hardware:
    """Probe this machine, and measure its devices where that was not done yet."""
    from qwen3_chat.engine.llama_build import BuildFolder
    from qwen3_chat.engine.worker_process import measure_kernels
    from qwen3_chat.models.hardware import probe_hardware

    environment = BuildFolder(paths.builds).environment()

    async def measure() -> tuple[MeasuredDevice, ...]:
        on_measure()
        return await measure_kernels(paths.engine_log_file, environment=environment)

    return await probe_hardware(list_devices, data_folder=paths.data, measure=measure)


def make_model_picker(
    session: ChatSession, startup_choice: ModelChoice, settings_store: SettingsStore, paths: Paths
) -> ModelPicker:
    """Make the model picker; it probes the machine through the engine in use at that moment.

    Of the settings, the model that drafts counts as it is when a model is loaded, the others as they were.
    """
    from qwen3_chat.cli.named_servers import server_rows
    from qwen3_chat.models.hardware import override_machine
    from qwen3_chat.models.hub import hubs_from, pull_target, resolve_target
    from qwen3_chat.models.hub.retry_policy import DEFAULT_RETRY_POLICY
    from qwen3_chat.models.library import find_local_copies
    from qwen3_chat.models.picker import Downloads, ModelPicker, StartupAdapters
    from qwen3_chat.models.picker.draft_choice import DraftSetting
    from qwen3_chat.session import LocalModel

    settings = settings_store.settings
    drafts = DraftSetting(settings_store, startup_choice.draft)
    hubs = hubs_from(os.environ)
    model_dirs = configured_model_dirs(settings)
    vram, ram = startup_choice.vram, startup_choice.ram
    adapted = adapted_file(startup_choice, settings, paths.models)
    labels = tuple(adapter.label for adapter in parse_adapters(startup_choice.lora))

    async def fetch(target: PullTarget, report: PullEventSink) -> ModelPulled:
        def copies(file: HubFile) -> Iterable[Path]:
            return find_local_copies(file.name, file.size_bytes, file.sha256, model_dirs)

        return await pull_target(target, hubs, paths.models, report, copies)

    def engine_of(choice: EngineChoice) -> Engine:
        named = replace(startup_choice, draft=drafts.named_at_start)
        return make_chosen_engine(choice, named, replace(settings, draft=drafts.stored), paths)

    return ModelPicker(
        probe=partial(_probe_through_engine, session, paths),
        folder=paths.models,
        model_dirs=model_dirs,
        downloads=Downloads(lambda text: resolve_target(text, hubs, DEFAULT_RETRY_POLICY), fetch),
        make_engine=engine_of,
        demo=LocalModel(DEMO_FILE),
        servers=partial(server_rows, paths.settings_file, startup_choice),
        override_machine=None if (vram, ram) == (None, None) else partial(override_machine, vram, ram),
        adapters=StartupAdapters(adapted, labels) if adapted is not None else None,
        drafts=drafts,
    )
