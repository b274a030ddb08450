"""What was found on a machine, and what a model can use of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from qwen3_chat.catalog.bandwidth import apple_bandwidth, gpu_bandwidth, ram_bandwidth
from qwen3_chat.engine.wire import Device, DeviceKind
from qwen3_chat.fit import Gpu, Machine

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
class Ram:
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
    ram: Ram
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
