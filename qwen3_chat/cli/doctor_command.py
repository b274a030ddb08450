"""`qwen3-chat doctor`: the state of everything that a model needs, and remedies for problems."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace
from rich.cells import set_cell_size

from qwen3_chat import __version__
from qwen3_chat.cli.composition import probe_hardware_sync
from qwen3_chat.cli.doctor_calibration import CalibrationReport, print_calibration, run_calibration
from qwen3_chat.cli.doctor_drafts import DraftFinding, find_drafts, format_drafts_finding
from qwen3_chat.cli.doctor_fix import FIX_COMMAND, fix_build, undo_fix
from qwen3_chat.cli.json_output import print_json
from qwen3_chat.cli.named_servers import find_missing_parsers, probe_named_servers
from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.cli.terminal_lines import print_sentence
from qwen3_chat.cli.warm_option import find_warm_engines, format_warm_engine
from qwen3_chat.config import find_paths, read_settings
from qwen3_chat.engine.llama_build import BuildFolder
from qwen3_chat.engine.llama_compilation import missing_llama_cpp_sentence
from qwen3_chat.engine.native_libraries import has_llama_cpp
from qwen3_chat.engine.warm_messages import WarmStatus
from qwen3_chat.engine.wire import Device
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ConfigError, Qwen3ChatError
from qwen3_chat.models.hardware import BuildAdvice, Hardware, SystemGpu, SystemRam, advise_build
from qwen3_chat.models.hub.sources import endpoints_from
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import GIB, format_size
from qwen3_chat.texts.terminal_safe import terminal_safe

if TYPE_CHECKING:
    from qwen3_chat.engine.remote.server_probe import ServerState


class ServerFacts(msgspec.Struct, frozen=True):
    """The state of a server; `failure` is empty where it is up, `lacks` are sentences."""

    name: str
    server: str = ""
    models: tuple[str, ...] = ()
    answer_ms: int | None = None
    failure: str = ""
    lacks: tuple[str, ...] = ()
    error_code: ErrorCode | None = None


def probe_servers(settings_file: Path) -> list[ServerFacts]:
    """Probe all servers of the settings at the same time."""
    servers = []
    states, missing = asyncio.run(_probe_and_call(settings_file))
    for name, state in states.items():
        if isinstance(state, ConfigError):
            servers.append(_failed_server(name, state))
        elif state.failure:
            servers.append(_failed_server(name, state.failure))
        else:
            lacks = tuple(lack.sentence for lack in state.missing_features)
            answer_ms = round(state.latency_s * 1000)
            servers.append(ServerFacts(name, state.label, state.models, answer_ms, lacks=lacks))
    return [
        replace(server, lacks=(*server.lacks, missing[server.name])) if server.name in missing else server
        for server in servers
    ]


async def _probe_and_call(
    settings_file: Path,
) -> tuple[dict[str, ServerState | ConfigError], dict[str, str]]:
    states = await probe_named_servers(settings_file)
    return states, await find_missing_parsers(settings_file, states)


def _failed_server(name: str, failure: Qwen3ChatError) -> ServerFacts:
    return ServerFacts(name, failure=str(failure), error_code=failure.code)


def format_servers(servers: list[ServerFacts]) -> list[str]:
    """Write a line for each server, followed by the features that it lacks."""
    lines = []
    for server in servers:
        if server.failure:
            lines.append(t("doctor.server_down", name=server.name, reason=server.failure))
            continue
        models = ", ".join(server.models)
        lines.append(
            t(
                "doctor.server_up",
                name=server.name,
                server=server.server,
                milliseconds=server.answer_ms,
                models=models,
            )
        )
        lines += [f"  · {lack}" for lack in server.lacks]
    return lines


CHECKED_PACKAGES = ("llama-cpp-python", "textual", "huggingface_hub")
MIN_DISK_BYTES = 2 * GIB
NETWORK_TIMEOUT_S = 5
ROW_LABEL_CELLS = 10


class SourceFacts(msgspec.Struct, frozen=True):
    """The state of a source of models; `failure` is empty where it responds."""

    url: str
    answer_ms: int | None
    failure: str = ""
    error_code: ErrorCode | None = None


class Problem(msgspec.Struct, frozen=True):
    """A problem, with the command that solves it where there is one."""

    text: str
    command: str = ""
    error_code: ErrorCode | None = None


class DoctorFacts(msgspec.Struct, frozen=True):
    """The output of `doctor --json`."""

    versions: dict[str, str]
    backends: list[str]
    devices: tuple[Device, ...]
    gpus: tuple[SystemGpu, ...]
    cpu: str
    n_cores: int
    ram: SystemRam
    usable_bytes: int
    models_folder: str
    disk_free_bytes: int | None
    sources: list[SourceFacts]
    problems: list[Problem]
    calibration: CalibrationReport | None = None
    servers: list[ServerFacts] = []
    interface_log: str = ""
    engine_log: str = ""
    build: str = ""
    warm_engines: list[WarmStatus] = []
    draft: DraftFinding | None = None


def run_doctor(
    as_json: bool, fix: bool = False, undo: bool = False, calibrated_model: ModelChoice | None = None
) -> None:
    """Print the state of everything, problems last; then calibrate a model or fix the build, if asked to.

    `undo` takes the last fix back instead.

    Raises:
        EngineError: no build could be improved, or the measurement failed.
        ModelError: the model to be measured is not installed.
    """
    paths = find_paths()
    if undo:
        undo_fix(BuildFolder(paths.builds))
        return
    sources = asyncio.run(_probe_sources(os.environ))
    hardware = probe_hardware_sync(paths)
    has_library = has_llama_cpp(BuildFolder(paths.builds).environment())
    lack = "" if has_library else missing_llama_cpp_sentence()
    facts = _facts(hardware, paths.models, sources, lack)
    settings = read_settings(paths.settings_file).settings
    draft = find_drafts(calibrated_model or ModelChoice(), settings, paths, hardware.machine)
    facts = replace(
        facts,
        draft=draft,
        problems=[*facts.problems, *_draft_problems(draft)],
        servers=probe_servers(paths.settings_file),
        interface_log=str(paths.interface_log_file),
        engine_log=str(paths.engine_log_file),
        build=str(BuildFolder(paths.builds).chosen() or ""),
        warm_engines=find_warm_engines(paths),
    )
    if as_json:
        if calibrated_model:
            facts = replace(facts, calibration=run_calibration(calibrated_model))
        print_json(facts)
    else:
        _print(facts)
        if calibrated_model:
            print()
            print_calibration(run_calibration(calibrated_model))
    if fix:
        fix_build(advise_build(hardware), BuildFolder(paths.builds), paths.engine_log_file)


def _facts(hardware: Hardware, models: Path, sources: list[SourceFacts], lack: str) -> DoctorFacts:
    free_bytes = disk_free_bytes(models)
    return DoctorFacts(
        versions=_versions(),
        backends=sorted({device.backend for device in hardware.devices}),
        devices=hardware.devices,
        gpus=hardware.gpus,
        cpu=hardware.cpu_name,
        n_cores=hardware.n_cores,
        ram=hardware.ram,
        usable_bytes=hardware.machine.usable_bytes,
        models_folder=str(models),
        disk_free_bytes=free_bytes,
        sources=sources,
        problems=find_problems(hardware, advise_build(hardware), models, free_bytes, sources, lack),
    )


def find_problems(
    hardware: Hardware,
    advice: BuildAdvice | None,
    models: Path,
    free_bytes: int | None,
    sources: list[SourceFacts],
    lack: str = "",
) -> list[Problem]:
    """Return the problems, the worst first; `lack` tells why llama-cpp-python is not there."""
    problems = []
    if lack:
        problems.append(Problem(lack, error_code=ErrorCode.LLAMA_CPP_MISSING))
    if hardware.engine_failure:
        text = t("doctor.engine_failed", reason=hardware.engine_failure)
        problems.append(Problem(text, error_code=hardware.engine_failure.code))
    if advice:
        backends = ", ".join(sorted({device.backend for device in hardware.devices}))
        text = t("doctor.idle_gpu", name=advice.gpu.name, backends=backends)
        problems.append(Problem(text, FIX_COMMAND))
    if free_bytes is not None and free_bytes < MIN_DISK_BYTES:
        text = t("doctor.disk_full", need=format_size(MIN_DISK_BYTES), folder=models)
        problems.append(Problem(text))
    if sources and all(source.failure for source in sources):
        problems.append(Problem(t("doctor.no_network")))
    return problems


def _draft_problems(draft: DraftFinding) -> list[Problem]:
    if not draft.is_problem:
        return []
    text = t("doctor.draft_problem", sentence=draft.sentence, remedy=draft.remedy)
    return [Problem(text, draft.command, draft.error_code)]


def _versions() -> dict[str, str]:
    versions = {
        "qwen3-chat": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    for name in CHECKED_PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = ""
    return versions


def disk_free_bytes(folder: Path) -> int | None:
    """Return the free bytes on the disk of a folder that may not exist yet; None where they are unknown."""
    existing = next((path for path in (folder, *folder.parents) if path.exists()), None)
    try:
        return shutil.disk_usage(existing).free if existing else None
    except OSError:
        return None


async def _probe_sources(environ: Mapping[str, str]) -> list[SourceFacts]:
    probes = (asyncio.to_thread(probe_source, url) for url in endpoints_from(environ))
    return list(await asyncio.gather(*probes))


def probe_source(url: str) -> SourceFacts:
    """Probe a source with a request; any response counts."""
    begin_s = time.monotonic()
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=NETWORK_TIMEOUT_S):
            pass
    except urllib.error.HTTPError as error:
        error.close()  # a response all the same
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        is_silent = isinstance(reason, TimeoutError)
        code = ErrorCode.SOURCE_TIMEOUT if is_silent else ErrorCode.SOURCE_UNREACHABLE
        return SourceFacts(url, None, describe_failure(reason), code)
    return SourceFacts(url, round((time.monotonic() - begin_s) * 1000))


def describe_failure(reason: object) -> str:
    """Return the reason why a server was not reached, as a phrase."""
    match reason:
        case socket.gaierror():
            return t("doctor.why.unknown_host")
        case ConnectionRefusedError():
            return t("doctor.why.refused")
        case TimeoutError():
            return t("doctor.why.silent", seconds=NETWORK_TIMEOUT_S)
        case OSError(strerror=str() as message) if message:
            return message
        case _:
            return str(reason)


def _print(facts: DoctorFacts) -> None:
    _row("doctor.versions", [f"{name} {number or '–'}" for name, number in facts.versions.items()])
    build = facts.build and t("doctor.own_build", folder=facts.build)
    _row("doctor.build", [", ".join(facts.backends) or "–", *([build] if build else [])])
    devices = [f"{device.name}: {device.description}" for device in facts.devices]
    _row("doctor.devices", devices or ["–"])
    gpus = [f"{gpu.name} {format_size(gpu.total_bytes) if gpu.total_bytes else ''}" for gpu in facts.gpus]
    _row("doctor.gpus", gpus or [t("doctor.no_gpus")])
    memory = t(
        "doctor.memory_line",
        free=format_size(facts.ram.available_bytes),
        total=format_size(facts.ram.limit_bytes or facts.ram.total_bytes),
        usable=format_size(facts.usable_bytes),
    )
    _row("doctor.memory", [memory])
    free = "?" if facts.disk_free_bytes is None else format_size(facts.disk_free_bytes)
    _row("doctor.disk", [t("doctor.disk_line", free=free, folder=facts.models_folder)])
    _row("doctor.network", [_source_line(source) for source in facts.sources])
    if facts.draft:
        _row("doctor.draft", format_drafts_finding(facts.draft))
    if facts.servers:
        _row("doctor.servers", format_servers(facts.servers))
    if facts.warm_engines:
        _row("doctor.warm", [format_warm_engine(engine) for engine in facts.warm_engines])
    _row("doctor.logs", [facts.interface_log, facts.engine_log])
    print()
    if not facts.problems:
        print_sentence(t("doctor.all_well"))
    for problem in facts.problems:
        print_sentence(f"! {terminal_safe(problem.text)}", 2)
        if problem.command:
            print(f"    {terminal_safe(problem.command)}")


def _row(label: str, lines: list[str]) -> None:
    for index, line in enumerate(lines):
        row = f"{set_cell_size('' if index else t(label), ROW_LABEL_CELLS)} {terminal_safe(line)}"
        print_sentence(row.rstrip(), ROW_LABEL_CELLS + 1)


def _source_line(source: SourceFacts) -> str:
    host = urlsplit(source.url).netloc or source.url
    if source.failure:
        return t("doctor.not_reached", host=host, reason=source.failure)
    return t("doctor.reached", host=host, milliseconds=source.answer_ms)
