"""The GPUs of the system: by NVIDIA's driver, by /sys or Windows' registry for AMD and Intel, by sysctl."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from qwen3_chat.models.hardware.inventory import SystemGpu, Vendor
from qwen3_chat.texts.formatting import GIB, MIB


def nvidia_gpus(environ: Mapping[str, str] = os.environ) -> tuple[SystemGpu, ...]:
    """List the GPUs of NVIDIA; none without a driver, or if the user hides them from CUDA."""
    if environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return ()
    if sys.platform == "linux" and not _is_loadable("libnvidia-ml.so.1"):
        return ()
    import pynvml  # here: its import takes longer than all other probing together

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        version = pynvml.nvmlSystemGetCudaDriverVersion()
        cuda_version = (version // 1000, version % 1000 // 10)
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return tuple(_nvidia_gpu(handle, cuda_version) for handle in handles)
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()


def _is_loadable(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _nvidia_gpu(handle: object, cuda_version: tuple[int, int]) -> SystemGpu:
    """Describe a GPU; those whose memory is the RAM don't report its size."""
    import pynvml

    name = pynvml.nvmlDeviceGetName(handle)
    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        total_bytes, free_bytes = int(memory.total), int(memory.free)
    except pynvml.NVMLError:
        total_bytes = free_bytes = 0
    try:
        drives_display = bool(pynvml.nvmlDeviceGetDisplayActive(handle))
    except pynvml.NVMLError:
        drives_display = False
    try:
        major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
        capability = (int(major), int(minor))
    except pynvml.NVMLError:
        capability = None
    return SystemGpu(
        Vendor.NVIDIA,
        name if isinstance(name, str) else name.decode(errors="replace"),
        total_bytes,
        free_bytes,
        drives_display,
        cuda_version=cuda_version,
        compute_capability=capability,
    )


_AMD_ID, _INTEL_ID = "0x1002", "0x8086"
_MIN_CARD_BYTES = 2 * GIB
"""The memory above which a GPU counts as a card; graphics of a processor seldom set aside more."""
_AMD_UNIFIED = {"0x1586": "AMD Radeon 8060S"}
"""The GPUs in processors whose memory is that of a card: Strix Halo, however little is set aside for it."""
_AMD_UNIFIED_NAMES = ("8060S", "8050S")


def sysfs_gpus(root: Path = Path("/")) -> tuple[SystemGpu, ...]:
    """List the GPUs of AMD and Intel; none on a system without /sys."""
    gpus = []
    for card in sorted((root / "sys/class/drm").glob("card[0-9]")):
        device = card / "device"
        match _read_text(device / "vendor"):
            case vendor if vendor == _AMD_ID:
                gpus.append(_amd_gpu(card, device))
            case vendor if vendor == _INTEL_ID:
                gpus.append(_intel_gpu(card, device))
    return tuple(gpus)


def _amd_gpu(card: Path, device: Path) -> SystemGpu:
    """Describe a GPU; one with a share of the RAM has what is set aside and what it may borrow."""
    model = _read_text(device / "device")
    parts = ("vram", "gtt") if model in _AMD_UNIFIED else ("vram",)
    total_bytes = sum(_read_number(device / f"mem_info_{part}_total") for part in parts)
    used_bytes = sum(_read_number(device / f"mem_info_{part}_used") for part in parts)
    name = _read_text(device / "product_name") or _AMD_UNIFIED.get(model) or f"AMD {model}"
    return SystemGpu(
        Vendor.AMD,
        name,
        total_bytes,
        max(0, total_bytes - used_bytes),
        _drives_display(card),
        is_integrated=total_bytes <= _MIN_CARD_BYTES and model not in _AMD_UNIFIED,
    )


def _intel_gpu(card: Path, device: Path) -> SystemGpu:
    tiles = sum(_read_number(file) for file in device.glob("tile*/physical_vram_size_bytes"))  # the xe driver
    total_bytes = tiles or _read_number(card / "lmem_total_bytes")  # i915
    free_bytes = _read_number(card / "lmem_avail_bytes") or total_bytes
    name = f"Intel {_read_text(device / 'device')}"
    return SystemGpu(
        Vendor.INTEL, name, total_bytes, free_bytes, _drives_display(card), is_integrated=total_bytes == 0
    )


def _drives_display(card: Path) -> bool:
    return any(_read_text(status) == "connected" for status in card.glob(f"{card.name}-*/status"))


def _read_text(file: Path) -> str:
    with suppress(OSError):
        return file.read_text(errors="replace").strip()
    return ""


def _read_number(file: Path) -> int:
    with suppress(ValueError):
        return int(_read_text(file))
    return 0


_ADAPTERS_KEY = r"SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}"
_ADAPTER_VALUES = ("DriverDesc", "MatchingDeviceId", "HardwareInformation.qwMemorySize")
_MAX_ADAPTERS = 64
_PCI_VENDORS = {"ven_1002": Vendor.AMD, "ven_8086": Vendor.INTEL}


def windows_gpus() -> tuple[SystemGpu, ...]:
    """List the GPUs of AMD and Intel by the registry; none on other systems."""
    return registry_gpus(_registry_adapters())


def registry_gpus(adapters: Iterable[Mapping[str, object]]) -> tuple[SystemGpu, ...]:
    """Read adapters as Windows' registry describes them; equal GPUs count once, as old entries stay."""
    gpus = {}
    for adapter in adapters:
        name, device, memory = (adapter.get(key) for key in _ADAPTER_VALUES)
        if not isinstance(device, str):
            continue
        vendor = next((vendor for id_, vendor in _PCI_VENDORS.items() if id_ in device.lower()), None)
        if isinstance(memory, bytes):
            memory = int.from_bytes(memory[:8], "little")
        total_bytes = memory if isinstance(memory, int) and 0 <= memory < 1 << 50 else 0
        if vendor:
            gpus[device.lower()] = SystemGpu(
                vendor,
                str(name or vendor.value),
                total_bytes,
                total_bytes,
                is_integrated=total_bytes <= _MIN_CARD_BYTES
                and not any(part in str(name) for part in _AMD_UNIFIED_NAMES),
            )
    return tuple(gpus.values())


def _registry_adapters() -> list[dict[str, object]]:
    adapters: list[dict[str, object]] = []
    if sys.platform == "win32":
        import winreg

        for number in range(_MAX_ADAPTERS):
            with (
                suppress(OSError),
                winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, rf"{_ADAPTERS_KEY}\{number:04}") as key,
            ):
                adapter: dict[str, object] = {}
                for name in _ADAPTER_VALUES:
                    with suppress(OSError):
                        adapter[name] = winreg.QueryValueEx(key, name)[0]
                adapters.append(adapter)
    return adapters


_SMALL_RAM_BYTES = 36 * GIB
_SYSCTL_TIMEOUT_S = 5


def apple_gpus() -> tuple[SystemGpu, ...]:
    """List the GPU of an Apple chip; none on other systems."""
    if sys.platform != "darwin" or platform.machine() != "arm64":
        return ()
    memory = psutil.virtual_memory()
    limit_mib = _sysctl("iogpu.wired_limit_mb")
    set_bytes = working_set_bytes(memory.total, int(limit_mib) if limit_mib.isdigit() else 0)
    name = _sysctl("machdep.cpu.brand_string") or "Apple"
    return (SystemGpu(Vendor.APPLE, name, set_bytes, min(set_bytes, memory.available)),)


def working_set_bytes(ram_bytes: int, wired_limit_mib: int = 0) -> int:
    """Return the bytes that Metal may use: the set limit, else 2/3 of a small RAM, 3/4 of a large one."""
    if wired_limit_mib:
        return wired_limit_mib * MIB
    return ram_bytes * 2 // 3 if ram_bytes <= _SMALL_RAM_BYTES else ram_bytes * 3 // 4


def _sysctl(name: str) -> str:
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(
            ["sysctl", "-n", name], capture_output=True, text=True, timeout=_SYSCTL_TIMEOUT_S, check=False
        ).stdout.strip()
    return ""
