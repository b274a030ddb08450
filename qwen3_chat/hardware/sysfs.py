"""AMD's and Intel's GPUs, as Linux shows them in /sys."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from qwen3_chat.hardware.report import SystemGpu, Vendor
from qwen3_chat.sizes import GIB

_AMD, _INTEL = "0x1002", "0x8086"
_SMALLEST_CARD_BYTES = 2 * GIB
"""What a processor's own graphics sets aside is seldom more; a card has more."""


def sysfs_gpus(root: Path = Path("/")) -> tuple[SystemGpu, ...]:
    """List the GPUs; none on another system."""
    gpus = []
    for card in sorted((root / "sys/class/drm").glob("card[0-9]")):
        device = card / "device"
        match _text(device / "vendor"):
            case vendor if vendor == _AMD:
                gpus.append(_amd(card, device))
            case vendor if vendor == _INTEL:
                gpus.append(_intel(card, device))
    return tuple(gpus)


def _amd(card: Path, device: Path) -> SystemGpu:
    total_bytes, used_bytes = (
        _number(device / "mem_info_vram_total"),
        _number(device / "mem_info_vram_used"),
    )
    name = _text(device / "product_name") or f"AMD {_text(device / 'device')}"
    return SystemGpu(
        Vendor.AMD,
        name,
        total_bytes,
        max(0, total_bytes - used_bytes),
        _drives_display(card),
        is_integrated=total_bytes <= _SMALLEST_CARD_BYTES,
    )


def _intel(card: Path, device: Path) -> SystemGpu:
    tiles = sum(_number(file) for file in device.glob("tile*/physical_vram_size_bytes"))  # the xe driver
    total_bytes = tiles or _number(card / "lmem_total_bytes")  # i915
    free_bytes = _number(card / "lmem_avail_bytes") or total_bytes
    name = f"Intel {_text(device / 'device')}"
    return SystemGpu(
        Vendor.INTEL, name, total_bytes, free_bytes, _drives_display(card), is_integrated=total_bytes == 0
    )


def _drives_display(card: Path) -> bool:
    return any(_text(status) == "connected" for status in card.glob(f"{card.name}-*/status"))


def _text(file: Path) -> str:
    with suppress(OSError):
        return file.read_text(errors="replace").strip()
    return ""


def _number(file: Path) -> int:
    with suppress(ValueError):
        return int(_text(file))
    return 0
