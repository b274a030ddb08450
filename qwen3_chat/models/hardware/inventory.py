"""The hardware that was found on this machine or stated by the user, and the `Machine` that it gives a
model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from qwen3_chat.engine.wire import Device, DeviceKind
from qwen3_chat.errors import UsageError
from qwen3_chat.models.fit import Gpu, Machine
from qwen3_chat.models.hardware.memory_bandwidth import apple_bandwidth, gpu_bandwidth, ram_bandwidth
from qwen3_chat.texts.formatting import MIB, parse_size

_METAL = {"Metal", "MTL"}


class Vendor(StrEnum):
    """Who makes a GPU."""

    NVIDIA = "NVIDIA"
    AMD = "AMD"
    INTEL = "Intel"
    APPLE = "Apple"


@dataclass(frozen=True, slots=True)
class SystemGpu:
    """A GPU as its driver describes it, whatever llama.cpp makes of it; 0 bytes where that isn't told."""

    vendor: Vendor
    name: str
    total_bytes: int
    free_bytes: int
    drives_display: bool = True
    is_integrated: bool = False
    cuda_version: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class SystemRam:
    """The memory; `limit_bytes` is what a container may use of it, None where there is no limit."""

    total_bytes: int
    available_bytes: int
    limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Hardware:
    """A machine; `devices` are what llama.cpp computes on, `gpus` what the system knows of.

    `engine_failure` says why llama.cpp could not be asked, empty where it could.
    """

    cpu_name: str
    n_cores: int
    ram: SystemRam
    devices: tuple[Device, ...] = ()
    gpus: tuple[SystemGpu, ...] = ()
    engine_failure: str = ""

    @property
    def offload_devices(self) -> tuple[Device, ...]:
        """What llama.cpp puts layers on: GPUs, or else an integrated one."""
        for kind in (DeviceKind.GPU, DeviceKind.INTEGRATED_GPU):
            if found := tuple(device for device in self.devices if device.kind is kind):
                return found
        return ()

    @property
    def unusable_gpus(self) -> tuple[SystemGpu, ...]:
        """GPUs worth using that this build of llama.cpp doesn't see."""
        if self.offload_devices or self.engine_failure:
            return ()
        return tuple(gpu for gpu in self.gpus if not gpu.is_integrated)

    @property
    def machine(self) -> Machine:
        """What a model can use, with the build of llama.cpp that is installed."""
        chip = next((device for device in self.offload_devices if device.backend in _METAL), None)
        bandwidth = (
            apple_bandwidth(chip.description, self.ram.total_bytes) if chip else ram_bandwidth(self.n_cores)
        )
        gpus = tuple(self._gpu(device, bandwidth) for device in self.offload_devices)
        return Machine(self.ram.available_bytes, bandwidth, gpus)

    def _gpu(self, device: Device, ram_bandwidth_bytes_per_s: float) -> Gpu:
        shares_ram = device.backend in _METAL or device.kind is DeviceKind.INTEGRATED_GPU
        known = next((gpu for gpu in self.gpus if gpu.name == device.description), None)
        return Gpu(
            name=device.description,
            free_bytes=device.free_bytes,
            total_bytes=device.total_bytes,
            bandwidth_bytes_per_s=ram_bandwidth_bytes_per_s
            if shares_ram
            else gpu_bandwidth(device.description, device.total_bytes),
            shares_ram=shares_ram,
            drives_display=known.drives_display if known else True,
        )


def override_machine(vram: str | None, ram: str | None, machine: Machine | None) -> Machine:
    """Make the machine of `--vram` and `--ram`; what isn't given is taken from `machine`.

    `vram` may hold several GPUs, `12GiB+12GiB`, and 0 for none. Both are free memory, before any margin.

    Raises:
        UsageError: one of them is no size.
    """
    gpus = machine.gpus if machine else ()
    if vram is not None:
        sizes = [_size(part, "--vram") for part in re.split(r"[+,]", vram)]
        gpus = tuple(Gpu("", size, size, gpu_bandwidth("", size)) for size in sizes if size)
    ram_bytes = _size(ram, "--ram") if ram is not None else machine.ram_free_bytes if machine else 0
    # Of another machine's processor nothing is known, so it is an ordinary one.
    return Machine(ram_bytes, ram_bandwidth(), gpus)


def _size(text: str, option: str) -> int:
    size_bytes = parse_size(text)
    if size_bytes is None or 0 < size_bytes < MIB:  # a number without its unit
        raise UsageError("hardware.bad_size", option=option, text=text)
    return size_bytes
