"""The limits of jailed code, and whether this machine can confine it.

`python -m qwen3_chat.jail` reads the settings as JSON, so this imports the standard library only.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from qwen3_chat.jail.landlock import Syscall, landlock_version, system_call

_MIB: Final = 1 << 20
REFUSED_STATUS: Final = 3
"""The exit status of a process that could not give up its rights; it has run no code."""


class JailProblem(StrEnum):
    """The reason why code can't be confined on a machine."""

    SYSTEM = "system"
    """It is not Linux."""
    PROCESSOR = "processor"
    """The filter of system calls is written for x86-64 only."""
    KERNEL = "kernel"
    """The kernel has no Landlock, or it is switched off."""


@dataclass(frozen=True, slots=True)
class JailSettings:
    """The limits of a process that runs code; the whole folder has `folder_bytes` and `folder_files`.

    The process may use `processor_s` in its whole life, which is what ends it should nobody else do so.
    """

    folder: str
    is_confined: bool = True
    memory_bytes: int = 2048 * _MIB
    file_bytes: int = 64 * _MIB
    open_files: int = 64
    processor_s: int = 600
    niceness: int = 10
    run_s: float = 30.0
    folder_bytes: int = 256 * _MIB
    folder_files: int = 1_000


def jail_problem(
    system: str = sys.platform, machine: str = "", syscall: Syscall = system_call
) -> JailProblem | None:
    """Return why code can't be confined here; None where it can."""
    if system != "linux":
        return JailProblem.SYSTEM
    if (machine or platform.machine()) != "x86_64" or sys.maxsize < 2**32:
        return JailProblem.PROCESSOR
    return None if landlock_version(syscall) else JailProblem.KERNEL
