"""The memory that a machine has free for a model, and the speed at which it is read."""

from __future__ import annotations

from dataclasses import dataclass

from qwen3_chat.models.kernel_speeds import KernelSpeeds
from qwen3_chat.models.observed_runs import ObservedRun
from qwen3_chat.texts.formatting import GIB, MIB

DISPLAY_SHARE = 0.08
"""The share of a GPU's memory that a screen and other programs may need; llama.cpp leaves 1 GiB too."""

RAM_SHARE = 0.1
"""The share of the free RAM that stays free for other programs."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU; with `shares_ram` its memory is the RAM, and bytes in it count once.

    With `kernels`, which were measured, its bandwidth does not count.
    """

    name: str
    free_bytes: int
    total_bytes: int
    bandwidth_bytes_per_s: float
    shares_ram: bool = False
    drives_display: bool = True
    kernels: KernelSpeeds | None = None

    @property
    def usable_bytes(self) -> int:
        """The bytes that a model may take."""
        if self.shares_ram or not self.drives_display:
            margin_bytes = 512 * MIB
        else:
            margin_bytes = max(GIB, round(self.total_bytes * DISPLAY_SHARE))
        return max(0, self.free_bytes - margin_bytes)


@dataclass(frozen=True, slots=True)
class Machine:
    """The memory of a machine, with its GPUs, as a model can use it.

    With `kernels`, those of the processor, which were measured, the bandwidth of the RAM does not count.
    `observed` has what models did that have run on it, the latest first.
    """

    ram_free_bytes: int
    ram_bandwidth_bytes_per_s: float
    gpus: tuple[Gpu, ...] = ()
    kernels: KernelSpeeds | None = None
    observed: tuple[ObservedRun, ...] = ()

    @property
    def usable_ram_bytes(self) -> int:
        """The bytes of RAM that a model may take."""
        return max(0, self.ram_free_bytes - max(GIB, round(self.ram_free_bytes * RAM_SHARE)))

    @property
    def is_unified(self) -> bool:
        """True if GPU and processor share one memory."""
        return any(gpu.shares_ram for gpu in self.gpus)

    @property
    def n_usable_gpus(self) -> int:
        """The number of GPUs with room for a part of a model."""
        return sum(gpu.usable_bytes > 0 for gpu in self.gpus)

    @property
    def usable_gpu_bytes(self) -> int:
        """The bytes that a model may take of all GPUs."""
        return sum(gpu.usable_bytes for gpu in self.gpus)

    @property
    def usable_bytes(self) -> int:
        """The bytes that a model may take in all."""
        return self.usable_ram_bytes if self.is_unified else self.usable_ram_bytes + self.usable_gpu_bytes
