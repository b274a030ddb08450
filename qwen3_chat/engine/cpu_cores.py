"""The usable processor cores, and the numbers of threads that follow from them."""

from __future__ import annotations

import os

import psutil


def default_threads() -> int:
    """Leave one physical core to the interface and the rest: one thread that waits slows all others down."""
    return max(1, usable_cores() - 1)


def default_prompt_threads() -> int:
    """Use all physical cores: evaluating many tokens at once is bound by arithmetic, and is soon over."""
    return usable_cores()


def threads_to_try() -> tuple[int, ...]:
    """List the numbers of threads that may turn out to be the best."""
    cores = usable_cores()
    return tuple(sorted({max(1, cores // 2), max(1, cores - 1), cores}))


def usable_cores() -> int:
    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    return min(physical, allowed)
