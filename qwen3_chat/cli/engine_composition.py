"""The engines, built from the choice of a model: its file or server, the options, what they keep on disk."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3_chat.cli.shared_options import ModelChoice, parse_adapters
from qwen3_chat.config import Paths, Settings, find_paths, read_settings
from qwen3_chat.demo import DEMO_FILE, DEMO_REFERENCE
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ModelError, UsageError
from qwen3_chat.record_copies import replace
from qwen3_chat.request import NO_DRAFT_MODEL, LoadSettings, PersistenceOptions, read_draft_value
from qwen3_chat.servers import Endpoint, ServerProfile, ServerProfiles, parse_server_kind
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import GIB

if TYPE_CHECKING:
    from qwen3_chat.engine import Engine
    from qwen3_chat.engine.local_engine import LocalEngine
    from qwen3_chat.engine.remote import RemoteEngine
    from qwen3_chat.engine.warm_client import WarmEngine
    from qwen3_chat.engine.wire import DeviceLister
    from qwen3_chat.models.fit import Machine
    from qwen3_chat.models.library import ModelDirs
    from qwen3_chat.session import EngineChoice


def configured_model_dirs(settings: Settings | None = None) -> ModelDirs:
    """Return the folders of models by the settings, read unless they are given, and by the environment."""
    from qwen3_chat.models.library import find_model_dirs

    if settings is None:
        settings = read_settings(find_paths().settings_file).settings
    return find_model_dirs(os.environ, Path.home(), settings.model_folders)


def resolve_model_file(choice: ModelChoice, settings: Settings, models_dir: Path) -> Path:
    """Return the file of the chosen model.

    Raises:
        UsageError: more than one model was named.
        ModelError: the model is not installed.
    """
    if sum((choice.demo, choice.model is not None, choice.gguf is not None)) > 1:
        raise UsageError(ErrorCode.SEVERAL_MODELS_NAMED)
    if choice.gguf is not None:
        return choice.gguf
    if choice.demo:
        return DEMO_FILE
    from qwen3_chat.models.catalog import ModelReference
    from qwen3_chat.models.library import find_model_file, list_external_models, list_installed_models

    name = choice.model or settings.model
    if name == DEMO_REFERENCE:
        return DEMO_FILE
    if name:
        external = list_external_models(configured_model_dirs(settings))
        return find_model_file(models_dir, ModelReference.parse(name), external)
    installed = list_installed_models(models_dir)
    return installed[0].path if installed else DEMO_FILE


def model_load_settings(choice: ModelChoice, file: Path) -> LoadSettings:
    """Return the load settings of a file under the chosen options."""
    return LoadSettings(
        path=str(file.expanduser().absolute()),
        n_ctx=choice.ctx,
        n_threads=choice.threads,
        n_gpu_layers=choice.gpu_layers,
        n_cpu_moe=choice.cpu_moe,
        kv_type=choice.kv_type,
        adapters=parse_adapters(choice.lora),
    )


def persistence_options(settings: Settings, paths: Paths) -> PersistenceOptions:
    """Return the options of what an engine stores on disk: folder, limit of the snapshots, calibration."""
    return PersistenceOptions(
        str(paths.data), int(settings.snapshots_gib * GIB), calibrates=settings.calibrate
    )


def make_engine(
    choice: ModelChoice,
    settings: Settings,
    paths: Paths,
    warm: WarmEngine | None = None,
    *,
    names_draft: bool = True,
) -> Engine:
    """Make the engine of the choice: the server that was named, else llama.cpp on this machine.

    For `warm`, see `make_local_engine`. Without `names_draft`, the choice's draft model was named for another
    model, as that of the settings is, and drafts only where that can help.

    Raises:
        UsageError: the choice makes no sense.
        ConfigError: the settings describe the server in a way that can't be used.
        ModelError: the model is not installed.
    """
    if choice.endpoint is None:
        if choice.server is not None:
            raise UsageError(ErrorCode.SERVER_WITHOUT_ENDPOINT)
        file = resolve_model_file(choice, settings, paths.models)
        load_settings = model_load_settings(choice, file)
        draft = read_draft_value(settings.draft if choice.draft is None else choice.draft)
        if draft != NO_DRAFT_MODEL:
            from qwen3_chat.cli.draft_option import with_draft_model  # here: few starts have one
            from qwen3_chat.engine.llama_build import BuildFolder
            from qwen3_chat.engine.native_libraries import has_llama_cpp

            # what is set for all models does not keep them from running until llama.cpp is compiled
            if choice.draft is not None or has_llama_cpp(BuildFolder(paths.builds).environment()):
                load_settings = with_draft_model(
                    load_settings,
                    draft,
                    paths.models,
                    configured_model_dirs(settings),
                    is_for_any_model=choice.draft is None or not names_draft,
                )
        return make_local_engine(load_settings, settings, paths, warm)
    if choice.demo or choice.gguf is not None:
        raise UsageError(ErrorCode.ENDPOINT_WITH_LOCAL_MODEL)
    if choice.lora:
        raise UsageError(ErrorCode.ADAPTER_WITH_ENDPOINT)
    if choice.draft is not None:
        raise UsageError(ErrorCode.DRAFT_WITH_ENDPOINT)
    return make_served_engine(choice, paths.settings_file)


def make_chosen_engine(
    choice: EngineChoice, startup_choice: ModelChoice, settings: Settings, paths: Paths
) -> Engine:
    """Make the engine of a choice; of the options at startup, threads and draft model apply to any model.

    The adapters apply to the model that they were named with.

    Raises:
        Qwen3ChatError: the choice makes no sense.
    """
    from qwen3_chat.session import LocalModel, ServedModel

    match choice:
        case LocalModel(path=path, n_ctx=n_ctx):
            adapted = adapted_file(startup_choice, settings, paths.models)
            local = ModelChoice(
                gguf=path,
                ctx=n_ctx,
                threads=startup_choice.threads,
                draft=startup_choice.draft,
                lora=startup_choice.lora if adapted == path.expanduser().absolute() else (),
            )
            return make_engine(local, settings, paths, names_draft=False)
        case ServedModel(url=url, model=model, kind=kind, n_ctx=n_ctx):
            served = ModelChoice(endpoint=url, model=model, server=kind, ctx=n_ctx)
            return make_engine(served, settings, paths)


def adapted_file(startup_choice: ModelChoice, settings: Settings, models_dir: Path) -> Path | None:
    """Return the file of the model that adapters were named with at the start; None without any."""
    if not startup_choice.lora or startup_choice.endpoint is not None:
        return None
    try:
        return resolve_model_file(startup_choice, settings, models_dir).expanduser().absolute()
    except ModelError:  # it was removed meanwhile
        return None


def make_local_engine(
    model_settings: LoadSettings, settings: Settings, paths: Paths, warm: WarmEngine | None = None
) -> LocalEngine:
    """Make an engine that suits this machine and stores evaluated chats beside their texts.

    Without `warm`, the warm engine of this home ends before a model is loaded, so that none is in memory
    twice.
    """
    from qwen3_chat.cli.warm_option import choose_warm_engine
    from qwen3_chat.engine.llama_build import BuildFolder
    from qwen3_chat.engine.local_engine import LocalEngine

    return LocalEngine(
        model_settings,
        paths.engine_log_file,
        persistence=persistence_options(settings, paths),
        probe_machine=partial(_probe_machine, paths.data),
        environment=BuildFolder(paths.builds).environment(),
        warm=warm or choose_warm_engine(0, 0, paths),
        is_one_shot=warm is not None and not warm.keeps_model,
    )


async def _probe_machine(data_folder: Path, list_devices: DeviceLister) -> Machine:
    import asyncio  # here: `rm` needs no event loop

    listing = asyncio.ensure_future(list_devices())
    try:
        await asyncio.wait({listing})  # while a process starts for it, the screen is drawn and keys are taken
    except asyncio.CancelledError:
        listing.cancel()
        raise
    from qwen3_chat.models.hardware import probe_hardware

    hardware = await probe_hardware(lambda: listing, data_folder=data_folder)
    return hardware.machine


def make_served_engine(choice: ModelChoice, settings_file: Path) -> Engine:
    """Make the engine for `--endpoint`, a name or an address; other options override the profile.

    Raises:
        UsageError: there is no such server, or its key is missing.
        ConfigError: the settings describe it in a way that can't be used.
    """
    from qwen3_chat.cli.named_servers import load_server_profiles

    assert choice.endpoint is not None
    profiles = load_server_profiles(settings_file)
    profile = profiles.get(choice.endpoint)
    if profile is None:
        if Endpoint.is_bare_name(choice.endpoint):  # more likely a misspelt name than a machine's port 80
            known = ", ".join(profiles.usable) or t("remote.no_profiles")
            raise UsageError(ErrorCode.SERVER_NAME_UNKNOWN, name=choice.endpoint, known=known)
        profile = ServerProfile("", Endpoint.parse(choice.endpoint))
    profile = replace(
        profile,
        model=choice.model or profile.model,
        kind=profile.kind if choice.server is None else parse_server_kind(choice.server),
        n_ctx=choice.ctx or profile.n_ctx,
    )
    engine = make_remote_engine(profile)
    fallbacks = _fallback_profiles(profile, profiles)
    if not fallbacks:
        return engine
    from qwen3_chat.engine.remote import FallbackEngine

    return FallbackEngine(engine, [(other.name, partial(make_remote_engine, other)) for other in fallbacks])


def make_remote_engine(profile: ServerProfile) -> RemoteEngine:
    """Make the engine for one server.

    Raises:
        UsageError: its key is missing.
    """
    from qwen3_chat.engine.remote import RemoteEngine, RemoteSettings, resolve_access  # here: it takes 0.1 s

    access = resolve_access(profile, os.environ)
    return RemoteEngine(
        RemoteSettings(
            profile.endpoint, profile.model, profile.kind, access, profile.n_ctx, name=profile.name
        )
    )


def _fallback_profiles(profile: ServerProfile, profiles: ServerProfiles) -> list[ServerProfile]:
    """List the servers that answer in a server's place, in the order in which they are tried.

    Raises:
        ConfigError: one of them can't be used.
    """
    fallbacks = []
    while profile.fallback is not None:
        following = profiles.get(profile.fallback)
        assert following is not None  # reading the profiles has made sure
        fallbacks.append(following)
        profile = following
    return fallbacks
