from __future__ import annotations

import pytest

from qwen3_chat.models.hardware.memory_bandwidth import (
    apple_bandwidth,
    gpu_bandwidth,
    known_bandwidth,
    load_bandwidths,
)
from qwen3_chat.texts.formatting import GIB


@pytest.mark.parametrize(
    ("name", "gb_per_s"),
    [
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 576),
        ("NVIDIA GeForce RTX 4080 Laptop GPU", 432),
        ("NVIDIA GeForce RTX 4070 Laptop GPU", 256),
        ("NVIDIA GeForce RTX 5090 Laptop GPU", 896),
        ("NVIDIA GeForce RTX 5070 Laptop GPU", 384),
        ("NVIDIA GeForce RTX 3080 Laptop GPU", 448),
        ("NVIDIA GeForce RTX 4090", 1008),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", 672),
        ("NVIDIA GB10", 273),
        ("Tesla P40", 347),
        ("Orin", 204),
        ("AMD Instinct MI300X", 5300),
        ("NVIDIA B200", 8000),
        ("NVIDIA H20", 4000),
        ("NVIDIA RTX 5000 Ada Generation", 576),
        ("NVIDIA RTX 2000 Ada Generation", 224),
        ("Intel(R) Arc(TM) Pro B60 Graphics", 456),
        ("Intel(R) Arc(TM) B580 Graphics", 456),
        ("AMD Radeon RX 7900 XTX", 960),
        ("AMD Radeon 8060S Graphics", 256),
        ("AMD Radeon Graphics (RADV GFX1151)", 256),
        ("AMD Radeon Graphics (RADV STRIX_HALO)", 256),
        ("AMD Radeon RX 7900M", 576),
        ("NVIDIA GB200", 8000),
    ],
)
def test_a_device_has_the_bandwidth_that_its_maker_publishes(name: str, gb_per_s: int) -> None:  # C7
    assert gpu_bandwidth(name, 24 * GIB) == gb_per_s * 1e9


@pytest.mark.parametrize(
    ("name", "ram_gib", "gb_per_s"),
    [
        ("Apple M5 Pro", 48, 307),
        ("Apple M5 Max", 36, 460),
        ("Apple M5 Max", 128, 614),
        ("Apple M4 Max", 128, 546),
        ("Apple M3 Ultra", 512, 819),
        ("Apple M5", 16, 153),
    ],
)
def test_a_chip_of_apple_is_told_from_its_larger_brothers(name: str, ram_gib: int, gb_per_s: int) -> None:
    assert apple_bandwidth(name, ram_gib * GIB) == gb_per_s * 1e9  # C7


def test_a_laptop_gpu_that_nobody_lists_is_slower_than_its_class_on_desktops() -> None:
    unknown = gpu_bandwidth("NVIDIA GeForce RTX 9990", 16 * GIB)
    assert gpu_bandwidth("NVIDIA GeForce RTX 9990 Laptop GPU", 16 * GIB) < unknown
    assert gpu_bandwidth("NVIDIA GeForce RTX 2080 with Max-Q Design", 8 * GIB) < 448e9


def test_every_group_has_a_source_and_no_name_stands_twice() -> None:
    groups = load_bandwidths()
    assert all(group.source.startswith("https://") for group in groups)
    names = [name.lower() for group in groups for name in group.gb_per_s]
    assert len(names) == len(set(names))


def test_a_name_inside_of_another_word_is_not_found() -> None:
    assert known_bandwidth("NVIDIA GH2000") is None
    assert known_bandwidth("Graphics") is None
