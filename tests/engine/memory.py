"""How much memory the worker takes, as Linux tells it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from qwen3_chat.engine import wire
from qwen3_chat.engine.exchange import ask
from qwen3_chat.engine.process import WorkerProcess
from qwen3_chat.sizes import MIB

_ACCOUNT = re.compile(r"(?P<place>\w+ (?:model|KV|compute)) buffer size =\s+(?P<mib>[\d.]+) MiB")
_PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had."""
    (peak_kib,) = _PEAK.findall(Path(f"/proc/{pid}/status").read_text())
    return int(peak_kib) * 1024


async def peak_bytes_without_a_model(log_path: Path) -> int:
    """The same of a worker that was only asked for its devices."""
    worker = await WorkerProcess.start(sys.executable, log_path)
    await ask(worker, wire.ListDevices)
    peak = peak_bytes(worker.pid)
    await worker.end()
    return peak


def told_bytes(log: str, place: str = "") -> float:
    """What llama.cpp accounts for, all of it or what is in one place."""
    buffers = _ACCOUNT.findall(log)
    return sum(float(mib) for where, mib in buffers if where.startswith(place)) * MIB
