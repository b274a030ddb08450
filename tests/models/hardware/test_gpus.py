from __future__ import annotations

from pathlib import Path

import pytest

from qwen3_chat.models.hardware.inventory import Vendor
from qwen3_chat.models.hardware.system_gpus import nvidia_gpus, registry_gpus, sysfs_gpus, working_set_bytes
from qwen3_chat.texts.formatting import GIB


def card(root: Path, number: int, files: dict[str, object]) -> None:
    for name, content in files.items():
        file = root / f"sys/class/drm/card{number}" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")


def test_an_amd_card_tells_its_memory(tmp_path: Path) -> None:
    card(
        tmp_path,
        0,
        {
            "device/vendor": "0x1002",
            "device/product_name": "Radeon RX 7900 XTX",
            "device/mem_info_vram_total": 24 * GIB,
            "device/mem_info_vram_used": 2 * GIB,
            "card0-DP-1/status": "connected",
        },
    )
    (gpu,) = sysfs_gpus(tmp_path)
    assert (gpu.vendor, gpu.name) == (Vendor.AMD, "Radeon RX 7900 XTX")
    assert (gpu.total_bytes, gpu.free_bytes) == (24 * GIB, 22 * GIB)
    assert gpu.drives_display
    assert not gpu.is_integrated


def test_graphics_in_the_processor_are_told_apart(tmp_path: Path) -> None:
    card(tmp_path, 0, {"device/vendor": "0x8086", "device/device": "0x9a49"})
    card(tmp_path, 1, {"device/vendor": "0x1002", "device/mem_info_vram_total": GIB // 2})
    assert [(gpu.vendor, gpu.is_integrated) for gpu in sysfs_gpus(tmp_path)] == [
        (Vendor.INTEL, True),
        (Vendor.AMD, True),
    ]


def test_a_gpu_with_the_fast_memory_of_its_machine_is_worth_a_build_however_little_is_set_aside(
    tmp_path: Path,
) -> None:  # C3: Strix Halo
    files = {"device/device": "0x1586", "device/mem_info_vram_total": GIB // 2}
    files |= {"device/mem_info_gtt_total": 62 * GIB, "device/mem_info_gtt_used": 2 * GIB}
    card(tmp_path, 0, {"device/vendor": "0x1002", **files})
    (gpu,) = sysfs_gpus(tmp_path)
    assert (gpu.name, gpu.is_integrated) == ("AMD Radeon 8060S", False)
    assert (gpu.total_bytes, gpu.free_bytes) == (62 * GIB + GIB // 2, 60 * GIB + GIB // 2)


@pytest.mark.parametrize(
    "files",
    [
        {"device/tile0/physical_vram_size_bytes": 6 * GIB, "device/tile1/physical_vram_size_bytes": 6 * GIB},
        {"lmem_total_bytes": 12 * GIB},
    ],
    ids=["xe", "i915"],
)
def test_an_intel_card_tells_its_memory_by_either_driver(tmp_path: Path, files: dict[str, object]) -> None:
    card(tmp_path, 0, {"device/vendor": "0x8086", **files})
    (gpu,) = sysfs_gpus(tmp_path)
    assert (gpu.total_bytes, gpu.is_integrated) == (12 * GIB, False)


def test_other_cards_and_broken_files_are_passed_over(tmp_path: Path) -> None:
    card(tmp_path, 0, {"device/vendor": "0x1234"})
    card(tmp_path, 1, {"device/vendor": "0x1002", "device/mem_info_vram_total": "rubbish"})
    (gpu,) = sysfs_gpus(tmp_path)
    assert gpu.total_bytes == 0


def test_a_system_without_cards_has_none(tmp_path: Path) -> None:
    assert sysfs_gpus(tmp_path) == ()


def test_asking_for_nvidia_never_fails() -> None:
    assert all(gpu.vendor is Vendor.NVIDIA for gpu in nvidia_gpus())


@pytest.mark.parametrize(("ram_gib", "set_gib"), [(24, 16), (36, 24), (64, 48), (128, 96)])
def test_metal_leaves_a_third_of_a_small_memory_and_a_quarter_of_a_large_one(
    ram_gib: int, set_gib: int
) -> None:
    assert working_set_bytes(ram_gib * GIB) == set_gib * GIB


def test_a_limit_that_was_set_counts() -> None:
    assert working_set_bytes(24 * GIB, wired_limit_mib=20 * 1024) == 20 * GIB


def test_cards_of_amd_and_intel_are_read_off_the_registry_of_windows() -> None:
    def adapter(name: str, device: str, memory: object) -> dict[str, object]:
        return {
            "DriverDesc": name,
            "MatchingDeviceId": device,
            "HardwareInformation.qwMemorySize": memory,
        }

    gpus = registry_gpus(
        [
            adapter("AMD Radeon RX 7600", r"PCI\VEN_1002&DEV_7480", 8 * GIB),
            adapter("AMD Radeon RX 7600", r"PCI\VEN_1002&DEV_7480", 8 * GIB),
            adapter(
                "Intel(R) Arc(TM) B580 Graphics", r"pci\ven_8086&dev_e20b", (12 * GIB).to_bytes(8, "little")
            ),
            adapter("Intel(R) UHD Graphics", r"PCI\VEN_8086&DEV_9A49", 128 << 20),
            adapter("NVIDIA GeForce RTX 4070", r"PCI\VEN_10DE&DEV_2786", 12 * GIB),  # its driver tells more
            adapter("Microsoft Basic Display Adapter", "root\\basicdisplay", "?"),
            {},
        ]
    )
    assert [(gpu.vendor, gpu.name, gpu.total_bytes, gpu.is_integrated) for gpu in gpus] == [
        (Vendor.AMD, "AMD Radeon RX 7600", 8 * GIB, False),
        (Vendor.INTEL, "Intel(R) Arc(TM) B580 Graphics", 12 * GIB, False),
        (Vendor.INTEL, "Intel(R) UHD Graphics", 128 << 20, True),
    ]
