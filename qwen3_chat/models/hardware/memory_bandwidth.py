"""The bandwidth of memory by device: the published one, else the usual one of its class."""

from __future__ import annotations

import re

_GB_PER_S = {
    # NVIDIA: longer names first where one is the beginning of another
    "H200": 4800, "H100": 3350, "A100": 1555, "V100": 900, "L40": 864, "L4": 300, "A10": 600, "T4": 320,
    "RTX 6000 Ada": 960, "RTX A6000": 768, "RTX A5000": 768, "RTX A4000": 448,
    "RTX 5090": 1792, "RTX 5080": 960, "RTX 5070 Ti": 896, "RTX 5070": 672, "RTX 5060": 448,
    "RTX 4090": 1008, "RTX 4080": 717, "RTX 4070 Ti SUPER": 672, "RTX 4070": 504, "RTX 4060 Ti": 288,
    "RTX 4060": 272, "RTX 4050": 192,
    "RTX 3090": 936, "RTX 3080": 760, "RTX 3070": 448, "RTX 3060": 360, "RTX 3050": 224,
    "RTX 2080 Ti": 616, "RTX 2080": 448, "RTX 2070": 448, "RTX 2060": 336, "GTX 1080 Ti": 484,
    "GTX 1080": 320, "GTX 1070": 256, "GTX 1660": 192, "GTX 1060": 192, "GTX 1650": 128,
    # AMD
    "7900 XTX": 960, "7900 XT": 800, "7800 XT": 624, "7700 XT": 432, "7600": 288, "9070": 640, "9060": 320,
    "6900 XT": 512, "6800": 512, "6700 XT": 384, "6600": 224, "MI300": 5300, "MI210": 1600,
    "RYZEN AI MAX": 256, "8060S": 256,
    # Intel
    "Arc B580": 456, "Arc B570": 380, "Arc A770": 560, "Arc A750": 512,
    # Apple
    "M1 Ultra": 800, "M1 Max": 400, "M1 Pro": 200, "M1": 68, "M2 Ultra": 800, "M2 Max": 400, "M2 Pro": 200,
    "M2": 100, "M3 Ultra": 800, "M3 Max": 300, "M3 Pro": 150, "M3": 100, "M4 Max": 410, "M4 Pro": 273,
    "M4": 120, "M5": 153,
}  # fmt: skip

_GPU_CLASSES_GB_PER_S = (
    (5, 130), (7, 250), (9, 270), (11, 400), (13, 360), (17, 450), (21, 500), (25, 900), (33, 1000),
    (49, 800),
)  # fmt: skip
"""The classes of GPUs without a known name: GiB of memory at most, and GB/s of the modest cards."""

_LARGE_GPU_GB_PER_S = 1500
_APPLE_CLASSES_GB_PER_S = ((17, 100), (25, 120), (37, 150), (65, 300))
_LARGE_APPLE_GB_PER_S = 400

DEFAULT_RAM_GB_PER_S = 50
"""The bandwidth of two channels of DDR4-3200; DDR5 has up to 90."""

CORE_GB_PER_S = 20
"""The bandwidth that a computing core uses at most: few cores don't fill two channels."""

GB = 10**9
_GIB = 1 << 30


def gpu_bandwidth(name: str, total_bytes: int) -> float:
    """Return the bytes per second of a GPU's memory, by its name or else by its size in bytes."""
    for known, gb_per_s in _GB_PER_S.items():
        if re.search(rf"\b{re.escape(known)}\b", name, re.IGNORECASE):
            return gb_per_s * GB
    return _by_size(total_bytes, _GPU_CLASSES_GB_PER_S, _LARGE_GPU_GB_PER_S)


def apple_bandwidth(name: str, ram_bytes: int) -> float:
    """Return the bytes per second of an Apple chip's memory, by its name or else by its size."""
    for known, gb_per_s in _GB_PER_S.items():
        if known.startswith("M") and re.search(rf"\b{known}\b", name):
            return gb_per_s * GB
    return _by_size(ram_bytes, _APPLE_CLASSES_GB_PER_S, _LARGE_APPLE_GB_PER_S)


def ram_bandwidth(n_cores: int | None = None) -> float:
    """Return the bytes per second that so many cores read from RAM; None stands for enough cores."""
    if n_cores is None:
        return DEFAULT_RAM_GB_PER_S * GB
    return min(DEFAULT_RAM_GB_PER_S, n_cores * CORE_GB_PER_S) * GB


def _by_size(size_bytes: int, classes: tuple[tuple[int, int], ...], large_gb_per_s: int) -> float:
    return next((gb_per_s for gib, gb_per_s in classes if size_bytes <= gib * _GIB), large_gb_per_s) * GB
