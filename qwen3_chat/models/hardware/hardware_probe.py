"""The probe of this machine's hardware; facts that cannot be found out are left out."""

from __future__ import annotations

import asyncio
import logging
import platform
from pathlib import Path

from qwen3_chat.engine.cpu_cores import processor_name, usable_cores
from qwen3_chat.engine.llama_build import LLAMA_CPP_VERSION
from qwen3_chat.engine.observed_runs_file import ObservedRunsFile, observing_machine
from qwen3_chat.engine.wire import Device, DeviceLister
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.models.hardware.inventory import Hardware, SystemGpu
from qwen3_chat.models.hardware.measured_kernels import KERNELS_FILE_NAME, KernelMeter, read_or_measure
from qwen3_chat.models.hardware.ram import read_ram
from qwen3_chat.models.hardware.system_gpus import apple_gpus, nvidia_gpus, sysfs_gpus, windows_gpus
from qwen3_chat.record_copies import replace
from qwen3_chat.texts.formatting import GIB

_LLAMA_CPP_TIMEOUT_S = 20
_log = logging.getLogger(__name__)


async def probe_hardware(
    list_devices: DeviceLister,
    timeout_s: float = _LLAMA_CPP_TIMEOUT_S,
    data_folder: Path | None = None,
    measure: KernelMeter | None = None,
) -> Hardware:
    """Probe llama.cpp, which runs in a process of its own, and at the same time the system.

    The speeds of the devices come from a file in `data_folder`, else from `measure`, and are stored there;
    what models did here comes from another one.
    """
    system = asyncio.create_task(asyncio.to_thread(_system_hardware))
    devices: tuple[Device, ...] = ()
    failure: EngineError | None = None
    try:
        async with asyncio.timeout(timeout_s):
            devices = await list_devices()
    except EngineError as error:
        failure = error
    except TimeoutError:  # a GPU's driver can hang
        failure = EngineError(ErrorCode.LLAMA_CPP_SILENT, seconds=round(timeout_s))
    hardware = replace(await system, devices=devices, engine_failure=failure)
    if data_folder is None or not devices:
        return hardware
    kernels_file = data_folder / KERNELS_FILE_NAME
    observed = await asyncio.to_thread(
        ObservedRunsFile.in_folder(data_folder).read, observing_machine(devices)
    )
    measured = await read_or_measure(kernels_file, _machine_key(hardware), measure)
    return replace(hardware, measured=measured, observed=observed)


def _machine_key(hardware: Hardware) -> str:
    """Return what measured speeds hold for: the machine, with the devices of this build and their drivers.

    NVIDIA's driver is known by the CUDA that it runs, those of other GPUs come with the system's kernel.
    """
    devices = ", ".join(f"{device.backend} {device.description}" for device in hardware.devices)
    if hardware.offload_devices:
        cuda = sorted(
            {f"CUDA {'.'.join(map(str, gpu.cuda_version))}" for gpu in hardware.gpus if gpu.cuda_version}
        )
        devices = ", ".join((devices, *cuda, platform.release()))
    gib = hardware.ram.total_bytes // GIB
    return f"{hardware.cpu_name}, {hardware.n_cores} cores, {gib} GiB, {devices}, {LLAMA_CPP_VERSION}"


def _system_hardware() -> Hardware:
    return Hardware(processor_name(), usable_cores(), read_ram(), gpus=_system_gpus())


def _system_gpus() -> tuple[SystemGpu, ...]:
    gpus: list[SystemGpu] = []
    for list_gpus in (nvidia_gpus, sysfs_gpus, windows_gpus, apple_gpus):
        try:
            gpus += list_gpus()
        except Exception:  # drivers fail in ways that nobody can list, and no GPU is worth a crash
            _log.warning("GPUs could not be listed", exc_info=True)
    return tuple(gpus)
