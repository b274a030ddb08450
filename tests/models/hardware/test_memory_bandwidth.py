from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwen3_chat.models.hardware import Hardware, SystemRam, measured_bandwidth
from qwen3_chat.models.hardware.bandwidth_meter import measure
from qwen3_chat.models.hardware.measured_bandwidth import measure_bandwidth, read_bandwidth
from qwen3_chat.models.hardware.memory_bandwidth import (
    READ_SHARE,
    apple_bandwidth,
    gpu_bandwidth,
    known_bandwidth,
    load_bandwidths,
    ram_bandwidth,
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


def test_the_measured_bandwidth_comes_before_any_guess() -> None:
    measured = Hardware("A server", 64, SystemRam(512 * GIB, 500 * GIB), measured_ram_bytes_per_s=368e9)
    assert measured.machine.ram_bandwidth_bytes_per_s == 368e9 / READ_SHARE
    assert ram_bandwidth(64) == 50e9


def test_the_meter_reads_memory() -> None:
    assert measure(2, round_s=0.001, block_bytes=1 << 20) > 1e8


async def test_a_measurement_is_stored_for_this_machine_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = tmp_path / "meter.py"
    meter.write_text(f"print({json.dumps(json.dumps({'bytes_per_s': 4e10}))})", "utf-8")
    monkeypatch.setattr(measured_bandwidth, "METER_FILE", meter)
    file = tmp_path / "data" / "bandwidth.json"
    assert read_bandwidth(file, "mine") is None
    assert await measure_bandwidth(file, "mine", 2) == 4e10
    assert read_bandwidth(file, "mine") == 4e10
    assert read_bandwidth(file, "another") is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"machine":"mine","bytes_per_s":1}', b"\xff" * 9000])
def test_a_damaged_store_counts_as_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bandwidth.json"
    file.write_bytes(content)
    assert read_bandwidth(file, "mine") is None


@pytest.mark.parametrize("program", ["raise SystemExit(1)", "print('no number')", "print('{}')"])
async def test_a_meter_that_fails_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    (tmp_path / "meter.py").write_text(program, "utf-8")
    monkeypatch.setattr(measured_bandwidth, "METER_FILE", tmp_path / "meter.py")
    assert await measure_bandwidth(tmp_path / "bandwidth.json", "mine", 2) is None
    assert not (tmp_path / "bandwidth.json").exists()
