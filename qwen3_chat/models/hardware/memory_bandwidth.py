"""The bandwidth of memory by device: as published (`bandwidths.toml`), else the usual one of its class."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

BANDWIDTHS_FILE: Final = Path(__file__).with_name("bandwidths.toml")


class BandwidthGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Devices of one kind, in GB/s, with the page that publishes them."""

    name: str
    source: str
    gb_per_s: dict[str, int]
    is_laptop: bool = False


class BandwidthsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `bandwidths.toml`."""

    groups: tuple[BandwidthGroup, ...]


@cache
def load_bandwidths() -> tuple[BandwidthGroup, ...]:
    """Read `bandwidths.toml`, which comes with the package."""
    return msgspec.toml.decode(BANDWIDTHS_FILE.read_bytes(), type=BandwidthsFile).groups


_APPLE = "apple"
_APPLE_LARGE_GB_PER_S = {"M3 Max": (48, 400), "M4 Max": (48, 546), "M5 Max": (48, 614)}
"""The larger version of a chip: the GiB of RAM from which it must be that one, and its GB/s."""

_LAPTOP_NAME = re.compile(r"\b(laptop|max-q|mobile)\b", re.IGNORECASE)
_LAPTOP_SHARE = 0.6
"""The share of its desktop namesake's bandwidth that a laptop's GPU has, where it is not in the table."""

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
    if (known := known_bandwidth(name)) is not None:
        return known
    by_size = _by_size(total_bytes, _GPU_CLASSES_GB_PER_S, _LARGE_GPU_GB_PER_S)
    return by_size * _LAPTOP_SHARE if _LAPTOP_NAME.search(name) else by_size


def known_bandwidth(name: str) -> float | None:
    """Return the published bytes per second of a device by its name; None where the table lacks it."""
    simple_name = re.sub(r"\s+", " ", re.sub(r"\((R|TM|C)\)", "", name, flags=re.IGNORECASE))
    is_laptop = bool(_LAPTOP_NAME.search(simple_name))
    laptop_name = _LAPTOP_NAME.sub("Laptop", simple_name)
    for known, gb_per_s, is_laptop_row in _by_length():
        if is_laptop_row and is_laptop and _stands_in(known, laptop_name):
            return gb_per_s * GB
        if not is_laptop_row and _stands_in(known, simple_name):
            is_desktop_row = is_laptop and not known.lower().endswith("m xt")
            return gb_per_s * GB * (_LAPTOP_SHARE if is_desktop_row else 1)
    return None


@cache
def _by_length() -> tuple[tuple[str, int, bool], ...]:
    """Return the names of GPUs with their GB/s, the longest first."""
    rows = [
        (name, gb_per_s, group.is_laptop)
        for group in load_bandwidths()
        if group.name != _APPLE
        for name, gb_per_s in group.gb_per_s.items()
    ]
    return tuple(sorted(rows, key=lambda row: -len(row[0])))


def _stands_in(known: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(known)}\b", name, re.IGNORECASE) is not None


def apple_bandwidth(name: str, ram_bytes: int) -> float:
    """Return the bytes per second of an Apple chip's memory, by its name or else by its size."""
    chips = next(group.gb_per_s for group in load_bandwidths() if group.name == _APPLE)
    for known in sorted(chips, key=len, reverse=True):
        if re.search(rf"\b{known}\b", name):
            from_gib, large_gb_per_s = _APPLE_LARGE_GB_PER_S.get(known, (0, 0))
            is_large = large_gb_per_s and ram_bytes >= from_gib * _GIB
            return (large_gb_per_s if is_large else chips[known]) * GB
    return _by_size(ram_bytes, _APPLE_CLASSES_GB_PER_S, _LARGE_APPLE_GB_PER_S)


def ram_bandwidth(n_cores: int | None = None) -> float:
    """Return the nominal bytes per second of RAM, as far as so many cores read it; None are enough cores."""
    if n_cores is None:
        return DEFAULT_RAM_GB_PER_S * GB
    return min(DEFAULT_RAM_GB_PER_S, n_cores * CORE_GB_PER_S) * GB


def _by_size(size_bytes: int, classes: tuple[tuple[int, int], ...], large_gb_per_s: int) -> float:
    return next((gb_per_s for gib, gb_per_s in classes if size_bytes <= gib * _GIB), large_gb_per_s) * GB
