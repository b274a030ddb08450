"""The hardware of this machine, or as the user states it, and the `Machine` that a model can use of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from qwen3_chat.engine.wire import Device, DeviceKind, MeasuredDevice
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError, UsageError
from qwen3_chat.models.fit import Gpu, Machine
from qwen3_chat.models.hardware.memory_bandwidth import (
    apple_bandwidth,
    gpu_bandwidth,
    known_bandwidth,
    ram_bandwidth,
)
from qwen3_chat.models.kernel_speeds import KernelSpeeds
from qwen3_chat.models.observed_runs import ObservedRun
from qwen3_chat.record_copies import replace
from qwen3_chat.texts.formatting import GIB, MIB, parse_size

IDLE_RAM_SHARE, IDLE_GPU_SHARE = 0.15, 0.05
"""The shares of RAM and of GPU memory that the system and idle programs keep: estimates."""
MIN_IDLE_RAM_BYTES = 2 * GIB
"""The RAM that a desktop keeps at least, where it has so much more."""

_METAL = {"Metal", "MTL"}


class Vendor(StrEnum):
    """The maker of a GPU."""

    NVIDIA = "NVIDIA"
    AMD = "AMD"
    INTEL = "Intel"
    APPLE = "Apple"


@dataclass(frozen=True, slots=True)
class SystemGpu:
    """A GPU as its driver describes it, usable by llama.cpp or not; 0 bytes where the size is unknown."""

    vendor: Vendor
    name: str
    total_bytes: int
    free_bytes: int
    drives_display: bool = True
    is_integrated: bool = False
    cuda_version: tuple[int, int] | None = None
    compute_capability: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class SystemRam:
    """The memory of a machine; `limit_bytes` is a container's share, None where there is no limit."""

    total_bytes: int
    available_bytes: int
    limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Hardware:
    """The hardware of a machine; `devices` are those of llama.cpp, `gpus` those that the system reports.

    `engine_failure` is the reason why llama.cpp listed no devices, None where it did. `measured` has those
    devices whose speeds were measured, `observed` what models did that have run here, the latest first.
    """

    cpu_name: str
    n_cores: int
    ram: SystemRam
    devices: tuple[Device, ...] = ()
    gpus: tuple[SystemGpu, ...] = ()
    engine_failure: EngineError | None = None
    measured: tuple[MeasuredDevice, ...] = ()
    observed: tuple[ObservedRun, ...] = ()

    @property
    def offload_devices(self) -> tuple[Device, ...]:
        """The devices for a model's layers: GPUs, or else an integrated one."""
        for kind in (DeviceKind.GPU, DeviceKind.INTEGRATED_GPU):
            if devices := tuple(device for device in self.devices if device.kind is kind):
                return devices
        return ()

    @property
    def unusable_gpus(self) -> tuple[SystemGpu, ...]:
        """The GPUs that are worth using but unknown to this build of llama.cpp."""
        if self.offload_devices or self.engine_failure:
            return ()
        return tuple(gpu for gpu in self.gpus if not gpu.is_integrated)

    @property
    def machine(self) -> Machine:
        """The machine as the fit computes with it, for the installed build of llama.cpp."""
        chip = next((device for device in self.offload_devices if device.backend in _METAL), None)
        bandwidth = (
            apple_bandwidth(chip.description, self.ram.total_bytes) if chip else ram_bandwidth(self.n_cores)
        )
        gpus = tuple(self._gpu(device, bandwidth) for device in self.offload_devices)
        processor = next((device for device in self.devices if device.kind is DeviceKind.CPU), None)
        kernels = self._kernels(processor) if processor else None
        return Machine(self.ram.available_bytes, bandwidth, gpus, kernels, self.observed)

    @property
    def steady_machine(self) -> Machine:
        """The machine with the memory that is free when other programs idle: by its size, not the moment."""
        machine = self.machine
        total_bytes = min(self.ram.total_bytes, self.ram.limit_bytes or self.ram.total_bytes)
        ram_bytes = idle_free_bytes(total_bytes, machine.ram_free_bytes)
        gpus = tuple(
            gpu
            if gpu.shares_ram  # its driver states a limit, not what is free
            else replace(gpu, free_bytes=idle_free_bytes(gpu.total_bytes, gpu.free_bytes, IDLE_GPU_SHARE))
            for gpu in machine.gpus
        )
        return replace(machine, ram_free_bytes=ram_bytes, gpus=gpus)

    def _gpu(self, device: Device, ram_bandwidth_bytes_per_s: float) -> Gpu:
        shares_ram = device.backend in _METAL or device.kind is DeviceKind.INTEGRATED_GPU
        known = next((gpu for gpu in self.gpus if gpu.name == device.description), None)
        return Gpu(
            name=device.description,
            free_bytes=device.free_bytes,
            total_bytes=device.total_bytes,
            bandwidth_bytes_per_s=(known_bandwidth(device.description) or ram_bandwidth_bytes_per_s)
            if shares_ram
            else gpu_bandwidth(device.description, device.total_bytes),
            shares_ram=shares_ram,
            drives_display=known.drives_display if known else True,
            kernels=self._kernels(device),
        )

    def _kernels(self, device: Device) -> KernelSpeeds | None:
        return next((one.kernels for one in self.measured if one.description == device.description), None)


def idle_free_bytes(total_bytes: int, free_bytes: int, idle_share: float = IDLE_RAM_SHARE) -> int:
    """Return the bytes of a memory that are free when other programs idle.

    Memory of which more than half is taken is in use by something that lasts: then what is free counts.
    """
    kept_bytes = round(total_bytes * idle_share)
    if idle_share == IDLE_RAM_SHARE:
        kept_bytes = max(kept_bytes, min(MIN_IDLE_RAM_BYTES, total_bytes // 4))
    usual_bytes = total_bytes - kept_bytes
    return free_bytes if free_bytes < usual_bytes / 2 else usual_bytes


_MAX_GPUS = 64


def override_machine(vram: str | None, ram: str | None, machine: Machine | None) -> Machine:
    """Return the machine of `--vram` and `--ram`; a value that is not given is taken from `machine`.

    `vram` may hold several GPUs, `12GiB+12GiB`, and 0 for none. Both are free memory, before any margin.

    Raises:
        UsageError: one of them is not a size.
    """
    gpus = machine.gpus if machine else ()
    if vram is not None:
        parts = re.split(r"[+,]", vram)
        if len(parts) > _MAX_GPUS:
            raise UsageError(ErrorCode.SIZE_INVALID, option="--vram", text=vram)
        sizes = [_size(part, "--vram") for part in parts]
        gpus = tuple(Gpu("", size, size, gpu_bandwidth("", size)) for size in sizes if size)
    ram_bytes = _size(ram, "--ram") if ram is not None else machine.ram_free_bytes if machine else 0
    # Nothing is known of another machine's processor, so an ordinary one is assumed.
    return Machine(ram_bytes, ram_bandwidth(), gpus)


def _size(text: str, option: str) -> int:
    size_bytes = parse_size(text)
    if size_bytes is None or 0 < size_bytes < MIB:  # a number without its unit
        raise UsageError(ErrorCode.SIZE_INVALID, option=option, text=text)
    return size_bytes
