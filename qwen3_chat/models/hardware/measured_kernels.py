"""The measured speeds of this machine's devices, stored so that they are measured once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from qwen3_chat.engine.wire import MeasuredDevice
from qwen3_chat.errors import EngineError
from qwen3_chat.private_file import write_private_file

KernelMeter = Callable[[], Awaitable[tuple[MeasuredDevice, ...]]]
"""A function that has llama.cpp measure the devices, in a process of its own."""

KERNELS_FILE_NAME = "kernel-speeds.json"
TIMEOUT_S = 15
"""The time for a measurement; on a machine that busy it is tried again at the next start."""
MAX_STORE_BYTES, MAX_DEVICES = 65_536, 64
_VERSION = 3  # of what is measured; another one is measured anew


class _StoredKernels(msgspec.Struct, frozen=True):
    """A measurement with the machine that it holds for."""

    version: int
    machine: str
    devices: tuple[MeasuredDevice, ...]


async def read_or_measure(
    file: Path, machine: str, measure: KernelMeter | None
) -> tuple[MeasuredDevice, ...]:
    """Return the stored speeds of a machine, else measure and store them, if there is something to do so.

    What contradicts itself counts as not measured, as does what other programs disturbed, and is tried again
    at the next start.
    """
    if stored := await asyncio.to_thread(read_kernels, file, machine):
        return stored
    if measure is None:
        return ()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            measured = _plausible(await measure())
    except (EngineError, TimeoutError):
        return ()
    if measured:
        content = msgspec.json.encode(_StoredKernels(_VERSION, machine, measured))
        with suppress(OSError):  # they are measured again then
            await asyncio.to_thread(write_private_file, file, content)
    return measured


def read_kernels(file: Path, machine: str) -> tuple[MeasuredDevice, ...]:
    """Return the stored speeds; none where there are no plausible ones for this machine."""
    try:
        with file.open("rb") as opened:
            stored = msgspec.json.decode(opened.read(MAX_STORE_BYTES), type=_StoredKernels)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ()
    if (stored.version, stored.machine) != (_VERSION, machine):
        return ()
    return _plausible(stored.devices)


def _plausible(devices: tuple[MeasuredDevice, ...]) -> tuple[MeasuredDevice, ...]:
    return tuple(
        device
        for device in devices[:MAX_DEVICES]
        if device.kernels.is_plausible and device.kernels.is_consistent
    )
