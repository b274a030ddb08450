"""The memory of the worker, measured and limited, on Linux."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from qwen3_chat.engine import wire
from qwen3_chat.engine.worker_process import WorkerProcess
from qwen3_chat.texts.formatting import MIB

_BUFFER = re.compile(r"(?P<name>\w+ (?:model|KV|compute)) buffer size =\s+(?P<mib>[\d.]+) MiB")
_PEAK = re.compile(r"VmHWM:\s+(\d+) kB")

# Python runs it in every process that finds it: once a model is opened, memory is short.
SHORT_OF_MEMORY = """
import resource, sys

def shorten(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".gguf"):
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        limit = used + SPARE_MIB * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))

sys.addaudithook(shorten)
"""


def limit_memory(folder: Path, monkeypatch: pytest.MonkeyPatch, spare_mib: int) -> None:
    """Limit the memory of every worker from now on to so much more than it has when it opens a model."""
    (folder / "sitecustomize.py").write_text(SHORT_OF_MEMORY.replace("SPARE_MIB", str(spare_mib)))
    monkeypatch.syspath_prepend(folder)


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process has had since its program began.

    `ru_maxrss` says something else: on Linux a process inherits it from the one that started it.
    """
    (peak_kib,) = _PEAK.findall(Path(f"/proc/{pid}/status").read_text())
    return int(peak_kib) * 1024


async def peak_bytes_without_a_model(log_path: Path) -> int:
    """Return the peak memory of a worker that was only asked for its devices."""
    worker = await WorkerProcess.start(sys.executable, log_path)
    await worker.request(wire.ListDevices)
    peak = peak_bytes(worker.pid)
    await worker.end()
    return peak


def logged_bytes(log: str, prefix: str = "") -> float:
    """Return the size of the buffers in llama.cpp's log whose names begin with a prefix."""
    buffers = _BUFFER.findall(log)
    return sum(float(mib) for name, mib in buffers if name.startswith(prefix)) * MIB
