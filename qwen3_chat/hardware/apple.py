"""The memory that an Apple chip's GPU may use."""

from __future__ import annotations

import platform
import subprocess
import sys
from contextlib import suppress

import psutil

from qwen3_chat.hardware.report import SystemGpu, Vendor
from qwen3_chat.sizes import GIB, MIB

_SMALL_BYTES = 36 * GIB
_PATIENCE_S = 5


def apple_gpus() -> tuple[SystemGpu, ...]:
    """List the chip's GPU; none elsewhere."""
    if sys.platform != "darwin" or platform.machine() != "arm64":
        return ()
    memory = psutil.virtual_memory()
    limit_mib = _sysctl("iogpu.wired_limit_mb")
    set_bytes = working_set_bytes(memory.total, int(limit_mib) if limit_mib.isdigit() else 0)
    name = _sysctl("machdep.cpu.brand_string") or "Apple"
    return (SystemGpu(Vendor.APPLE, name, set_bytes, min(set_bytes, memory.available)),)


def working_set_bytes(ram_bytes: int, wired_limit_mib: int = 0) -> int:
    """Return what Metal may take: the limit that was set, else 2/3 of a small RAM, 3/4 of a large one."""
    if wired_limit_mib:
        return wired_limit_mib * MIB
    return ram_bytes * 2 // 3 if ram_bytes <= _SMALL_BYTES else ram_bytes * 3 // 4


def _sysctl(name: str) -> str:
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(
            ["sysctl", "-n", name], capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        ).stdout.strip()
    return ""
