"""The file of what was observed while models ran; the worker writes it, the predictions read it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec

from qwen3_chat.engine.cpu_cores import usable_cores
from qwen3_chat.engine.llama_build import LLAMA_CPP_VERSION
from qwen3_chat.engine.wire import Device
from qwen3_chat.models.observed_runs import MAX_SPEEDS, ObservedRun
from qwen3_chat.private_file import write_private_file

OBSERVED_RUNS_FILE_NAME = "observed-runs.json"
MAX_RUNS, MAX_RUNS_FILE_BYTES = 64, 262_144
_VERSION = 1
_MAX_KEY = 64


class _MachineRun(msgspec.Struct, frozen=True):
    """A run with the key of the machine that it was on."""

    machine: Annotated[str, msgspec.Meta(max_length=_MAX_KEY)]
    run: ObservedRun


class _StoredRuns(msgspec.Struct, frozen=True):
    """The content of the file, the latest run last."""

    version: int
    runs: list[_MachineRun]


def observing_machine(devices: Sequence[Device]) -> str:
    """Return the key of a machine: its devices, the cores that may be used, the version of llama.cpp."""
    facts = [(device.backend, device.description, device.total_bytes) for device in devices]
    return hashlib.sha256(f"{facts},{usable_cores()},{LLAMA_CPP_VERSION}".encode()).hexdigest()[:_MAX_KEY]


class ObservedRunsFile:
    """The file; one that can't be read or written, or is damaged, counts as empty."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def in_folder(cls, folder: str | Path) -> ObservedRunsFile:
        """Return the file in a folder."""
        return cls(Path(folder) / OBSERVED_RUNS_FILE_NAME)

    def read(self, machine: str) -> tuple[ObservedRun, ...]:
        """Return the runs on a machine, the latest first."""
        return tuple(stored.run for stored in reversed(self._read()) if stored.machine == machine)

    def record(self, machine: str, run: ObservedRun) -> None:
        """Add a run, to the speeds of an earlier one that was loaded in the same way."""
        others: list[_MachineRun] = []
        for stored in self._read():
            if stored.machine == machine and stored.run.has_same_plan(run):
                run = stored.run.followed_by(run)
            else:
                others.append(stored)
        latest = [*others, _MachineRun(machine, run)][-MAX_RUNS:]
        with suppress(OSError):  # the next reply is observed, too
            write_private_file(self._path, msgspec.json.encode(_StoredRuns(_VERSION, latest)))

    def _read(self) -> list[_MachineRun]:
        try:
            with self._path.open("rb") as file:
                stored = msgspec.json.decode(file.read(MAX_RUNS_FILE_BYTES), type=_StoredRuns)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return []
        if stored.version != _VERSION:
            return []
        return [one for one in stored.runs[-MAX_RUNS:] if len(one.run.speeds) <= MAX_SPEEDS]
