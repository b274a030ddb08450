"""`qwen3-chat doctor`: whether everything that a model needs is there, and what to do where it isn't."""

from __future__ import annotations

import asyncio
import os
import platform
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace
from rich.cells import set_cell_size

from qwen3_chat import __version__
from qwen3_chat.cli.calibrate import CalibrationFacts, measure, show
from qwen3_chat.cli.doctor_servers import ServerFacts, ask_servers, server_lines
from qwen3_chat.cli.machine import look
from qwen3_chat.cli.options import ModelChoice
from qwen3_chat.config import paths_from
from qwen3_chat.engine.wire import Device
from qwen3_chat.errors import EngineError
from qwen3_chat.hardware import Advice, Hardware, Ram, SystemGpu, advise
from qwen3_chat.hub.sources import endpoints_from
from qwen3_chat.plain import plain
from qwen3_chat.sizes import GIB, write_size
from qwen3_chat.texts import t

PACKAGES = ("llama-cpp-python", "textual", "huggingface_hub")
LEAST_DISK_BYTES = 2 * GIB
NETWORK_PATIENCE_S = 5
LABEL_CELLS = 10


class SourceFacts(msgspec.Struct, frozen=True):
    """Whether a source of models answers; `failure` is empty where it does."""

    url: str
    answer_ms: int | None
    failure: str = ""


class Problem(msgspec.Struct, frozen=True):
    """Something that is wrong, with the command that helps where there is one."""

    text: str
    command: str = ""


class DoctorFacts(msgspec.Struct, frozen=True):
    """What `doctor --json` prints."""

    versions: dict[str, str]
    backends: list[str]
    devices: tuple[Device, ...]
    gpus: tuple[SystemGpu, ...]
    cpu: str
    n_cores: int
    ram: Ram
    usable_bytes: int
    models_folder: str
    disk_free_bytes: int | None
    sources: list[SourceFacts]
    problems: list[Problem]
    calibration: CalibrationFacts | None = None
    servers: list[ServerFacts] = []


def examine(as_json: bool, fix: bool = False, calibrated: ModelChoice | None = None) -> None:
    """Print the state of everything, what is wrong last; then do what is wanted about it.

    That is to install what is advised, or to measure how a model runs fastest.

    Raises:
        EngineError: the installation failed, or the measurement.
        ModelError: the model to be measured is not installed.
    """
    paths = paths_from()
    sources = asyncio.run(_ask_sources(os.environ))
    hardware = look(paths.engine_log)
    facts = _facts(hardware, paths.models, sources)
    facts = msgspec.structs.replace(facts, servers=ask_servers(paths.settings_file))
    if as_json:
        if calibrated:
            facts = replace(facts, calibration=measure(calibrated))
        print(msgspec.json.encode(facts).decode())
    else:
        _print(facts)
        if calibrated:
            print()
            show(measure(calibrated))
    if fix:
        install(advise(hardware), lambda: look(paths.engine_log))


def install(advice: Advice | None, look_again: Callable[[], Hardware]) -> None:
    """Run the command that is advised, then see whether llama.cpp has the GPU now.

    Raises:
        EngineError: it failed, or was in vain.
    """
    if advice is None:
        print(t("doctor.nothing_to_fix"), file=sys.stderr)
        return
    name = plain(advice.gpu.name)
    print(t("doctor.fixing", name=name), file=sys.stderr, flush=True)
    status = subprocess.run(advice.command, stdout=sys.stderr, check=False).returncode
    if status:
        raise EngineError("doctor.fix_failed", status=status)
    if not look_again().offload_devices:
        raise EngineError("doctor.fix_in_vain", name=name)
    print(t("doctor.fixed", name=name), file=sys.stderr)


def _facts(hardware: Hardware, models: Path, sources: list[SourceFacts]) -> DoctorFacts:
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
        problems=problems_of(hardware, advise(hardware), models, free_bytes, sources),
    )


def problems_of(
    hardware: Hardware,
    advice: Advice | None,
    models: Path,
    free_bytes: int | None,
    sources: list[SourceFacts],
) -> list[Problem]:
    """Say what is wrong, the worst first."""
    problems = []
    if hardware.engine_failure:
        problems.append(Problem(t("doctor.engine_failed", reason=hardware.engine_failure)))
    if advice:
        backends = ", ".join(sorted({device.backend for device in hardware.devices}))
        text = t("doctor.idle_gpu", name=advice.gpu.name, backends=backends)
        problems.append(Problem(text, shlex.join(advice.command)))
    if free_bytes is not None and free_bytes < LEAST_DISK_BYTES:
        text = t("doctor.disk_full", need=write_size(LEAST_DISK_BYTES), folder=models)
        problems.append(Problem(text))
    if sources and all(source.failure for source in sources):
        problems.append(Problem(t("doctor.no_network")))
    return problems


def _versions() -> dict[str, str]:
    versions = {
        "qwen3-chat": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = ""
    return versions


def disk_free_bytes(folder: Path) -> int | None:
    """Return what is free where a folder is or will be; None where that can't be told."""
    existing = next((place for place in (folder, *folder.parents) if place.exists()), None)
    try:
        return shutil.disk_usage(existing).free if existing else None
    except OSError:
        return None


async def _ask_sources(environ: Mapping[str, str]) -> list[SourceFacts]:
    asked = (asyncio.to_thread(ask_source, url) for url in endpoints_from(environ))
    return list(await asyncio.gather(*asked))


def ask_source(url: str) -> SourceFacts:
    """See whether a server answers, whatever it answers."""
    begin_s = time.monotonic()
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=NETWORK_PATIENCE_S):
            pass
    except urllib.error.HTTPError as error:
        error.close()  # an answer, if not a friendly one
    except (OSError, ValueError) as error:
        return SourceFacts(url, None, in_words(getattr(error, "reason", error)))
    return SourceFacts(url, round((time.monotonic() - begin_s) * 1000))


def in_words(reason: object) -> str:
    """Say why a server was not reached."""
    match reason:
        case socket.gaierror():
            return t("doctor.why.unknown_host")
        case ConnectionRefusedError():
            return t("doctor.why.refused")
        case TimeoutError():
            return t("doctor.why.silent", seconds=NETWORK_PATIENCE_S)
        case OSError(strerror=str() as said) if said:
            return said
        case _:
            return str(reason)


def _print(facts: DoctorFacts) -> None:
    _row("doctor.versions", [" ".join(pair) for pair in facts.versions.items()])
    _row("doctor.build", [", ".join(facts.backends) or "–"])
    devices = [f"{device.name}: {device.description}" for device in facts.devices]
    _row("doctor.devices", devices or ["–"])
    gpus = [f"{gpu.name} {write_size(gpu.total_bytes) if gpu.total_bytes else ''}" for gpu in facts.gpus]
    _row("doctor.gpus", gpus or [t("doctor.no_gpus")])
    memory = t(
        "doctor.memory_line",
        free=write_size(facts.ram.available_bytes),
        total=write_size(facts.ram.limit_bytes or facts.ram.total_bytes),
        usable=write_size(facts.usable_bytes),
    )
    _row("doctor.memory", [memory])
    free = "?" if facts.disk_free_bytes is None else write_size(facts.disk_free_bytes)
    _row("doctor.disk", [t("doctor.disk_line", free=free, folder=facts.models_folder)])
    _row("doctor.network", [_source_line(source) for source in facts.sources])
    if facts.servers:
        _row("doctor.servers", server_lines(facts.servers))
    print()
    if not facts.problems:
        print(t("doctor.all_well"))
    for problem in facts.problems:
        print(f"! {plain(problem.text)}")
        if problem.command:
            print(f"    {plain(problem.command)}")


def _row(label: str, lines: list[str]) -> None:
    for index, line in enumerate(lines):
        print(f"{set_cell_size('' if index else t(label), LABEL_CELLS)} {plain(line)}".rstrip())


def _source_line(source: SourceFacts) -> str:
    host = urlsplit(source.url).netloc or source.url
    if source.failure:
        return t("doctor.not_reached", host=host, reason=source.failure)
    return t("doctor.reached", host=host, milliseconds=source.answer_ms)
