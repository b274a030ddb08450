"""The available RAM: that of the system, or less where a container is limited.

The rules of cgroups: https://docs.kernel.org/admin-guide/cgroup-v2.html (memory.max, memory.current,
memory.stat).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from qwen3_chat.models.hardware.inventory import SystemRam

_NO_LIMIT_BYTES = 1 << 60  # version 1 writes a number near 2⁶³ where there is none


def read_ram(root: Path = Path("/")) -> SystemRam:
    """Read the memory of the system with cgroup limits; `root` is the folder of `proc` and `sys`."""
    memory = psutil.virtual_memory()
    limit, available = None, memory.available
    for limit_bytes, free_bytes in _limits(root):
        limit = limit_bytes if limit is None else min(limit, limit_bytes)
        available = min(available, free_bytes)
    return SystemRam(memory.total, available, limit if limit is not None and limit < memory.total else None)


def _limits(root: Path) -> Iterator[tuple[int, int]]:
    """Yield the limit of each cgroup that this process is in, with the bytes that are free within it."""
    groups = root / "sys/fs/cgroup"
    for controllers, path in _own_groups(root):
        if controllers == "":
            names = ("memory.max", "memory.current", "inactive_file")
            folder = groups
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            folder = groups / "memory"
        else:
            continue
        inner = folder / path.strip("/")
        for group in (inner, *inner.parents):
            with suppress(OSError, ValueError):  # no such file, "max" or an unknown value
                limit_bytes = int((group / names[0]).read_text())
                if limit_bytes < _NO_LIMIT_BYTES:
                    used_bytes = int((group / names[1]).read_text()) - _reclaimable(group, names[2])
                    yield limit_bytes, max(0, limit_bytes - used_bytes)
            if group == folder:
                break


def _own_groups(root: Path) -> Iterator[tuple[str, str]]:
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, _, remainder = line.partition(":")
            controllers, _, path = remainder.partition(":")
            yield controllers, path


def _reclaimable(group: Path, name: str) -> int:
    """Return the bytes of cached file pages, which count as used but are reclaimed first."""
    for line in (group / "memory.stat").read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
