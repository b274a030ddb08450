"""The probe of this machine's hardware; facts that cannot be found out are left out."""

from __future__ import annotations

import asyncio
import logging
import platform
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from qwen3_chat.engine.cpu_cores import usable_cores
from qwen3_chat.engine.wire import Device, DeviceLister
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.models.hardware.inventory import Hardware, SystemGpu
from qwen3_chat.models.hardware.measured_bandwidth import measure_bandwidth, read_bandwidth
from qwen3_chat.models.hardware.ram import read_ram
from qwen3_chat.models.hardware.system_gpus import apple_gpus, nvidia_gpus, sysfs_gpus, windows_gpus
from qwen3_chat.texts.formatting import GIB

_LLAMA_CPP_TIMEOUT_S = 20
_log = logging.getLogger(__name__)


async def probe_hardware(
    list_devices: DeviceLister,
    timeout_s: float = _LLAMA_CPP_TIMEOUT_S,
    bandwidth_file: Path | None = None,
    may_measure: bool = True,
) -> Hardware:
    """Probe llama.cpp, which runs in a process of its own, and at the same time the system.

    The bandwidth of the RAM comes from `bandwidth_file`, or is measured and stored there, if it may be.
    """
    system = asyncio.create_task(_system_hardware(bandwidth_file, may_measure))
    devices: tuple[Device, ...] = ()
    failure: EngineError | None = None
    try:
        async with asyncio.timeout(timeout_s):
            devices = await list_devices()
    except EngineError as error:
        failure = error
    except TimeoutError:  # a GPU's driver can hang
        failure = EngineError(ErrorCode.LLAMA_CPP_SILENT, seconds=round(timeout_s))
    return replace(await system, devices=devices, engine_failure=failure)


async def _system_hardware(bandwidth_file: Path | None, may_measure: bool) -> Hardware:
    found = await asyncio.to_thread(
        lambda: Hardware(_cpu_name(), usable_cores(), read_ram(), gpus=_system_gpus())
    )
    if bandwidth_file is None:
        return found
    machine = f"{found.cpu_name}, {found.n_cores} cores, {found.ram.total_bytes // GIB} GiB"
    measured = read_bandwidth(bandwidth_file, machine)
    if measured is None and may_measure:
        measured = await measure_bandwidth(bandwidth_file, machine, found.n_cores)
    return replace(found, measured_ram_bytes_per_s=measured)


def _system_gpus() -> tuple[SystemGpu, ...]:
    gpus: list[SystemGpu] = []
    for list_gpus in (nvidia_gpus, sysfs_gpus, windows_gpus, apple_gpus):
        try:
            gpus += list_gpus()
        except Exception:  # drivers fail in ways that nobody can list, and no GPU is worth a crash
            _log.warning("GPUs could not be listed", exc_info=True)
    return tuple(gpus)


def _cpu_name() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model"):
                return value.strip()
    return platform.processor() or platform.machine()
