"""The machines of the table in docs/model-fit.md, and why we differ from some experts on them."""

from __future__ import annotations

from dataclasses import dataclass

from qwen3_chat.models.fit import Gpu, Machine
from qwen3_chat.models.hardware.inventory import IDLE_GPU_SHARE, idle_free_bytes
from qwen3_chat.models.hardware.memory_bandwidth import GB, apple_bandwidth, gpu_bandwidth
from qwen3_chat.models.hardware.system_gpus import working_set_bytes
from qwen3_chat.texts.formatting import GIB


@dataclass(frozen=True, slots=True)
class FitMachine:
    """A machine with its name; `note` says why we differ from what some experts would choose."""

    name: str
    machine: Machine
    note: str = ""


def _ram(gib: float) -> int:
    return idle_free_bytes(int(gib * GIB), int(gib * GIB))


def processor(name: str, gib: float, gb_per_s: float, note: str = "") -> FitMachine:
    """Return a machine without a GPU: so many GiB of RAM that is read so fast, by its channels."""
    return FitMachine(name, Machine(_ram(gib), gb_per_s * GB), note)


def container(name: str, gib: float, gb_per_s: float, note: str = "") -> FitMachine:
    """Return a container whose limit is all its own."""
    return FitMachine(name, Machine(int(gib * GIB), gb_per_s * GB), note)


def graphics(
    name: str,
    gib: float,
    gb_per_s: float,
    *cards: tuple[str, float],
    note: str = "",
    is_headless: bool = False,
) -> FitMachine:
    """Return a machine with cards, each with the name that gives its bandwidth and its GiB."""
    gpus = tuple(
        Gpu(
            card,
            idle_free_bytes(int(size * GIB), int(size * GIB), IDLE_GPU_SHARE),
            int(size * GIB),
            gpu_bandwidth(card, int(size * GIB)),
            drives_display=not is_headless,
        )
        for card, size in cards
    )
    return FitMachine(name, Machine(_ram(gib), gb_per_s * GB, gpus), note)


def unified(name: str, gib: int, note: str = "") -> FitMachine:
    """Return an Apple machine with the usual limit of its GPU."""
    bandwidth = apple_bandwidth(name, gib * GIB)
    limit = working_set_bytes(gib * GIB)
    gpu = Gpu(name, limit, limit, bandwidth, shares_ram=True)
    return FitMachine(f"{name}, {gib} GB", Machine(_ram(gib), bandwidth, (gpu,)), note)


def shared(name: str, gib: int, gpu_share: float, gb_per_s: float, note: str = "") -> FitMachine:
    """Return another machine with one memory, of which the GPU may use a share."""
    limit = int(gib * GIB * gpu_share)
    gpu = Gpu(name, limit, limit, gb_per_s * GB, shares_ram=True)
    return FitMachine(f"{name}, {gib} GB", Machine(_ram(gib), gb_per_s * GB, (gpu,)), note)


_BIG_DENSE = "some prefer 32B: it scores lower than 30B-A3B-Thinking-2507 and takes four times as long"
_SMALL_THINKER = (
    "some prefer 8B or 14B: the 4B models of July 2025 have results as good and are faster, "
    "though they know less"
)
_HALF_IN_RAM = (
    "some keep 30B-A3B-Thinking-2507 wholly on the GPU, in Q4_K_M at 148 tok/s: Q6_K loses less, and its "
    "answers come within 75 s"
)
_THREE_BITS = "some run 235B-A22B in 3 bits here: what it loses below 4 bits nobody has published for it"
_WIRED_LIMIT = (
    "some raise the GPU's limit (`iogpu.wired_limit_mb`) for 30B-A3B in 4 bits: that leaves some 3 GiB to "
    "everything else"
)
_SLOWER_GIANT = "some prefer Next-80B-A3B-Thinking: its answers take about 2 min"

MACHINES = (
    processor("Raspberry Pi 4, 4 GB", 4, 6),
    processor(
        "Raspberry Pi 5, 8 GB", 8, 17, "some run 4B here: it writes fewer than 5 tok/s, so it is no offer"
    ),
    processor(
        "Raspberry Pi 5, 16 GB",
        16,
        17,
        "some run 30B-A3B in 3 bits here: it fills the memory, and what it loses below 4 bits nobody has "
        "published for it",
    ),
    processor("Orange Pi 5 Plus, 32 GB", 32, 30, "some run 30B-A3B here, for its answers: 6 tok/s"),
    processor("Mini PC N100, 16 GB DDR5, one channel", 16, 35),
    processor("Office laptop, 8 GB DDR4", 8, 35),
    processor(
        "Office laptop, 16 GB DDR4, two channels",
        16,
        50,
        "some prefer 8B: with thinking it needs seven minutes for an answer",
    ),
    processor("Laptop, 32 GB LPDDR5X", 32, 100),
    processor("Desktop, 32 GB DDR5, two channels", 32, 80),
    processor("Desktop, 64 GB DDR4, two channels", 64, 50),
    processor(
        "Desktop, 128 GB DDR5, two channels", 128, 80, "some run 235B-A22B in 3 bits here: some 3 tok/s"
    ),
    processor("Server, 128 GB, 8 channels DDR4", 128, 200),
    processor("EPYC, 512 GB, 12 channels DDR5", 512, 460),
    container("Container with 4 GiB", 4, 50),
    container("Container with 8 GiB", 8, 50, _SMALL_THINKER),
    container("Container with 24 GiB and 2 cores", 24, 35),
    graphics("GTX 1650, 4 GB; 16 GB DDR4", 16, 45, ("NVIDIA GeForce GTX 1650", 4)),
    graphics("GTX 1060, 6 GB; 16 GB DDR4", 16, 45, ("NVIDIA GeForce GTX 1060 6GB", 6), note=_SMALL_THINKER),
    graphics("RTX 3050 Laptop, 4 GB; 16 GB", 16, 50, ("NVIDIA GeForce RTX 3050 Laptop GPU", 4)),
    graphics(
        "RTX 4060 Laptop, 8 GB; 16 GB DDR5",
        16,
        75,
        ("NVIDIA GeForce RTX 4060 Laptop GPU", 8),
        note=_SMALL_THINKER,
    ),
    graphics("RTX 4060, 8 GB; 32 GB DDR5", 32, 80, ("NVIDIA GeForce RTX 4060", 8)),
    graphics("RTX 4070 Laptop, 8 GB; 32 GB DDR5", 32, 80, ("NVIDIA GeForce RTX 4070 Laptop GPU", 8)),
    graphics("RX 6600, 8 GB; 16 GB DDR4", 16, 50, ("AMD Radeon RX 6600", 8), note=_SMALL_THINKER),
    graphics("GTX 1070, 8 GB; 64 GB DDR4", 64, 50, ("NVIDIA GeForce GTX 1070", 8)),
    graphics("RTX 3080, 10 GB; 32 GB DDR4", 32, 50, ("NVIDIA GeForce RTX 3080", 10)),
    graphics("RTX 3060, 12 GB; 16 GB DDR4", 16, 50, ("NVIDIA GeForce RTX 3060", 12)),
    graphics("Arc B580, 12 GB; 32 GB DDR5", 32, 80, ("Intel(R) Arc(TM) B580 Graphics", 12)),
    graphics("RTX 4080 Laptop, 12 GB; 32 GB DDR5", 32, 80, ("NVIDIA GeForce RTX 4080 Laptop GPU", 12)),
    graphics("RTX 4070 Ti SUPER, 16 GB; 32 GB DDR5", 32, 80, ("NVIDIA GeForce RTX 4070 Ti SUPER", 16)),
    graphics("RTX 5080, 16 GB; 64 GB DDR5", 64, 90, ("NVIDIA GeForce RTX 5080", 16)),
    graphics("RX 9070 XT, 16 GB; 32 GB DDR5", 32, 80, ("AMD Radeon RX 9070 XT", 16)),
    graphics("RX 7900 XT, 20 GB; 32 GB DDR5", 32, 80, ("AMD Radeon RX 7900 XT", 20), note=_BIG_DENSE),
    graphics("RTX 3090, 24 GB; 32 GB DDR4", 32, 50, ("NVIDIA GeForce RTX 3090", 24), note=_BIG_DENSE),
    graphics("RTX 4090, 24 GB; 64 GB DDR5", 64, 80, ("NVIDIA GeForce RTX 4090", 24), note=_HALF_IN_RAM),
    graphics("Tesla P40, 24 GB; 64 GB DDR4", 64, 50, ("Tesla P40", 24), is_headless=True),
    graphics("RTX 5090, 32 GB; 64 GB DDR5", 64, 90, ("NVIDIA GeForce RTX 5090", 32), note=_BIG_DENSE),
    graphics("2 × RTX 3060, 12 GB; 32 GB DDR4", 32, 50, *(("NVIDIA GeForce RTX 3060", 12),) * 2),
    graphics("2 × RTX 3090, 24 GB; 64 GB DDR4", 64, 50, *(("NVIDIA GeForce RTX 3090", 24),) * 2),
    graphics("2 × RTX 4060 Ti, 16 GB; 64 GB DDR5", 64, 80, *(("NVIDIA GeForce RTX 4060 Ti", 16),) * 2),
    graphics(
        "RTX 4090 and RTX 3060; 64 GB DDR5",
        64,
        80,
        ("NVIDIA GeForce RTX 4090", 24),
        ("NVIDIA GeForce RTX 3060", 12),
    ),
    graphics(
        "RTX 6000 Ada, 48 GB; 128 GB DDR5", 128, 80, ("NVIDIA RTX 6000 Ada Generation", 48), is_headless=True
    ),
    graphics(
        "RTX PRO 6000, 96 GB; 256 GB, 8 channels",
        256,
        300,
        ("NVIDIA RTX PRO 6000 Blackwell", 96),
        is_headless=True,
        note=_THREE_BITS,
    ),
    graphics("A100, 80 GB; 256 GB, 8 channels", 256, 200, ("NVIDIA A100-SXM4-80GB", 80), is_headless=True),
    graphics("H100, 80 GB; 512 GB, 8 channels", 512, 300, ("NVIDIA H100 80GB HBM3", 80), is_headless=True),
    graphics("MI300X, 192 GB; 1 TB, 12 channels", 1024, 460, ("AMD Instinct MI300X", 192), is_headless=True),
    graphics(
        "4 × L4, 24 GB; 192 GB, 8 channels",
        192,
        200,
        *(("NVIDIA L4", 24),) * 4,
        is_headless=True,
        note=_SLOWER_GIANT,
    ),
    shared("GB10 (DGX Spark)", 128, 0.9, 273, _THREE_BITS),
    shared("Ryzen AI Max+ 395", 128, 0.75, 256, _THREE_BITS),
    shared("Jetson AGX Orin", 64, 0.9, 204),
    unified("Apple M1", 8),
    unified("Apple M2", 16, _SMALL_THINKER),
    unified("Apple M4", 24, _WIRED_LIMIT),
    unified("Apple M4 Pro", 24, _WIRED_LIMIT),
    unified("Apple M4 Pro", 48),
    unified("Apple M1 Max", 64),
    unified("Apple M4 Max", 128, _THREE_BITS),
    unified("Apple M2 Ultra", 192),
    unified("Apple M3 Ultra", 512),
)
