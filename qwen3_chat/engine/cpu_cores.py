"""The processor: its name, its usable cores, and the numbers of threads that follow from them.

A module of its own: the worker and the probe of the hardware count the same cores, and neither imports the
other.
"""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

import psutil

_CPU_INFO = Path("/proc/cpuinfo")


def default_threads() -> int:
    """Return the number of threads to decode with: all usable cores but one.

    That one is left to the interface and other programs: one thread that waits slows all others down.
    """
    return max(1, usable_cores() - 1)


def default_prompt_threads() -> int:
    """Return the number of threads to evaluate prompts with: all usable cores.

    Evaluating many tokens at once is bound by arithmetic, and soon over.
    """
    return usable_cores()


def threads_to_try() -> tuple[int, ...]:
    """Return the numbers of threads that may turn out to be the fastest, in ascending order."""
    cores = usable_cores()
    return tuple(sorted({max(1, cores // 2), max(1, cores - 1), cores}))


def usable_cores() -> int:
    """Return the number of physical cores that this process may use, at least 1."""
    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    return min(physical, allowed)


@cache
def processor_name() -> str:
    """Return the name of this machine's processor, as its maker calls it where the system tells."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    pairs = (line.partition(":") for line in lines)
    names = (value.strip() for key, _, value in pairs if key.strip() in ("model name", "Model"))
    return next(names, "") or platform.processor() or platform.machine()
