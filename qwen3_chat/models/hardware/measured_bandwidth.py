"""The measured bandwidth of this machine's RAM, stored so that it is measured once."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from qwen3_chat.private_file import write_private_file

METER_FILE = Path(__file__).with_name("bandwidth_meter.py")
"""The meter needs the standard library alone, and starts by its file in a tenth of a module's time."""
TIMEOUT_S = 5
"""The time for a measurement; on a machine that busy it is tried again at the next start."""
MIN_GB_PER_S, MAX_GB_PER_S = 0.5, 20_000
MAX_STORE_BYTES = 4096


class StoredBandwidth(msgspec.Struct, frozen=True):
    """A measurement with the machine that it holds for."""

    machine: str
    bytes_per_s: float


async def measure_bandwidth(file: Path, machine: str, n_cores: int) -> float | None:
    """Measure the bytes per second that the processor reads, about a second, and store them.

    `machine` names processor, cores and memory. None where it can't be measured.
    """
    measured = await _measure(n_cores)
    if measured is not None:
        with suppress(OSError):  # it is measured again then
            content = msgspec.json.encode(StoredBandwidth(machine, measured))
            await asyncio.to_thread(write_private_file, file, content)
    return measured


def read_bandwidth(file: Path, machine: str) -> float | None:
    """Return the stored bytes per second; None where there are no plausible ones for this machine."""
    try:
        with file.open("rb") as opened:
            stored = msgspec.json.decode(opened.read(MAX_STORE_BYTES), type=StoredBandwidth)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return stored.bytes_per_s if stored.machine == machine and _is_plausible(stored.bytes_per_s) else None


def _is_plausible(bytes_per_s: float) -> bool:
    return MIN_GB_PER_S * 1e9 <= bytes_per_s <= MAX_GB_PER_S * 1e9


async def _measure(n_cores: int) -> float | None:
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(METER_FILE),
            str(n_cores),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            output, _ = await process.communicate()
        bytes_per_s = float(json.loads(output)["bytes_per_s"])
    except (TimeoutError, ValueError, KeyError, TypeError):
        return None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return bytes_per_s if _is_plausible(bytes_per_s) else None
