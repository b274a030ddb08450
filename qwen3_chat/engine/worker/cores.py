"""How many processor cores there are to compute with."""

from __future__ import annotations

import os

import psutil


def default_threads() -> int:
    """Leave one physical core to the interface and the rest: one thread that waits slows all others down."""
    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    return max(1, min(physical, allowed) - 1)
