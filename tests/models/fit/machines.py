"""The machines that the recommendation is checked on."""

from __future__ import annotations

from qwen3_chat.models.fit.machine import Gpu, Machine
from qwen3_chat.models.hardware.memory_bandwidth import apple_bandwidth, gpu_bandwidth, ram_bandwidth
from qwen3_chat.models.kernel_speeds import KernelSpeeds
from qwen3_chat.texts.formatting import GIB

KERNELS = KernelSpeeds(
    weights=((4.5, 5.5e-11), (6.5625, 7.5e-11), (8.5, 9e-11), (16.0, 15e-11)),
    narrow_weights=((4.5, 7e-11), (6.5625, 9.5e-11), (8.5, 12e-11), (16.0, 19e-11)),
    prompt_weights=((4.5, 2e-11), (16.0, 1.5e-11)),
    expert_factor=1.0,
    prompt_expert_factor=1.3,
    cache_read_s=1.1e-10,
    attention_s=1.1e-10,
    short_cache_read_s=1.5e-10,
    short_attention_s=1.4e-10,
    quantised_attention_s=5e-10,
    prompt_attention_s=2.5e-11,
    operation_s=7e-7,
)
"""What one core of an AMD EPYC (Zen 3) was measured to do, rounded."""


def cpu(ram_gib: int) -> Machine:
    """Return a machine without a GPU and with so much free RAM."""
    return Machine(ram_gib * GIB, ram_bandwidth())


def with_gpus(ram_gib: int, *vram_gib: int) -> Machine:
    """Return a machine with GPUs that no other program uses."""
    gpus = (Gpu("", size * GIB, size * GIB, gpu_bandwidth("", size * GIB)) for size in vram_gib)
    return Machine(ram_gib * GIB, ram_bandwidth(), tuple(gpus))


def apple(ram_gib: int) -> Machine:
    """Return an Apple machine with the usual working set; other programs take a quarter of its memory."""
    share = 2 / 3 if ram_gib <= 36 else 3 / 4
    bandwidth = apple_bandwidth("", ram_gib * GIB)
    gpu = Gpu("", int(ram_gib * GIB * share), ram_gib * GIB, bandwidth, shares_ram=True)
    return Machine((ram_gib - max(4, ram_gib // 4)) * GIB, bandwidth, (gpu,))


MACHINES = {
    "CPU, 4 GiB": cpu(4),
    "CPU, 6 GiB (a container's limit)": cpu(6),
    "CPU, 8 GiB": cpu(8),
    "CPU, 16 GiB": cpu(16),
    "CPU, 32 GiB": cpu(32),
    "CPU, 64 GiB": cpu(64),
    "4 GiB VRAM, 8 GiB": with_gpus(8, 4),
    "6 GiB VRAM, 16 GiB": with_gpus(16, 6),
    "8 GiB VRAM, 8 GiB": with_gpus(8, 8),
    "8 GiB VRAM, 32 GiB": with_gpus(32, 8),
    "10 GiB VRAM, 16 GiB": with_gpus(16, 10),
    "12 GiB VRAM, 16 GiB": with_gpus(16, 12),
    "12 GiB VRAM, 32 GiB": with_gpus(32, 12),
    "16 GiB VRAM, 32 GiB": with_gpus(32, 16),
    "20 GiB VRAM, 32 GiB": with_gpus(32, 20),
    "24 GiB VRAM, 32 GiB": with_gpus(32, 24),
    "32 GiB VRAM, 64 GiB": with_gpus(64, 32),
    "48 GiB VRAM, 64 GiB": with_gpus(64, 48),
    "2 × 12 GiB VRAM, 32 GiB": with_gpus(32, 12, 12),
    "2 × 24 GiB VRAM, 64 GiB": with_gpus(64, 24, 24),
    "Apple, 8 GB": apple(8),
    "Apple, 16 GB": apple(16),
    "Apple, 24 GB": apple(24),
    "Apple, 32 GB": apple(32),
    "Apple, 48 GB": apple(48),
    "Apple, 64 GB": apple(64),
    "Apple, 128 GB": apple(128),
}
