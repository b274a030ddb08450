"""The rule that a child dies with its parent, whatever it is doing: the parent's part and the child's.

A child that reads its input notices by itself that the parent is gone, but not while one operation holds
Python's lock. So the system ends it, where the system can:

- Linux sends the child a signal when the thread that made it ends; asyncio makes children in the thread of
  the event loop, which lives as long as the pipes to the child do.
- Windows ends the processes of a job when the last handle of the job is closed, which is the parent's.
- macOS and the BSDs only report the end of a process, to a thread of the child.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
from collections.abc import Callable
from functools import cache
from threading import Thread
from typing import Any

PARENT_VARIABLE = "QWEN3_CHAT_PARENT_PID"
"""The environment variable by which a child knows its parent, to find out whether that has ended already."""

_PR_SET_PDEATHSIG = 1

_KILL_ON_JOB_CLOSE = 0x2000
_EXTENDED_LIMIT_INFORMATION = 9
_PROCESS_TERMINATE, _PROCESS_SET_QUOTA = 0x0001, 0x0100


def parent_variables() -> dict[str, str]:
    """Return the environment variables that a child needs to die with this process."""
    return {PARENT_VARIABLE: str(os.getpid())}


def bind_child(pid: int) -> None:
    """Have the system end a child with this process, where that is not the child's own part."""
    if sys.platform == "win32":
        _job().add(pid)


def die_with_parent() -> None:
    """End this process with its parent, at once if that is gone already; a child calls it first of all.

    A process that was not started as a child lives on.
    """
    parent = os.environ.pop(PARENT_VARIABLE, "")  # a child of this one has another parent
    if not parent:
        return
    if sys.platform == "linux":
        request_death_signal(int(parent), _kill_this_process)
    elif hasattr(select, "kqueue"):
        watch_with_kqueue(int(parent), _kill_this_process)


def request_death_signal(parent_pid: int, kill: Callable[[], None], libc: Any = None) -> None:
    """Have Linux kill this process when its parent ends; do it here if that has ended already.

    Where Linux refuses, in some sandboxes, the end of its input is what ends the child.
    """
    libc = libc or ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != parent_pid:  # nobody signals what happened before
        kill()


def watch_with_kqueue(parent_pid: int, kill: Callable[[], None], system: Any = select) -> None:
    """Kill this process, from a thread, when its parent ends; do it here if that has ended already."""
    queue = system.kqueue()
    end = system.kevent(
        parent_pid,
        filter=system.KQ_FILTER_PROC,
        flags=system.KQ_EV_ADD | system.KQ_EV_ONESHOT,
        fflags=system.KQ_NOTE_EXIT,
    )
    try:
        queue.control([end], 0)
    except ProcessLookupError:
        kill()
        return
    if os.getppid() != parent_pid:  # its number may belong to another process by now
        kill()
        return

    def wait() -> None:
        queue.control(None, 1)
        kill()

    Thread(target=wait, name="parent", daemon=True).start()


def _kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)  # no handler and no clean-up can hold that up


class _BasicLimits(ctypes.Structure):
    """Windows' JOBOBJECT_BASIC_LIMIT_INFORMATION."""

    _fields_ = (
        ("per_process_user_time_limit", ctypes.c_int64),
        ("per_job_user_time_limit", ctypes.c_int64),
        ("limit_flags", ctypes.c_uint32),
        ("minimum_working_set_size", ctypes.c_size_t),
        ("maximum_working_set_size", ctypes.c_size_t),
        ("active_process_limit", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t),
        ("priority_class", ctypes.c_uint32),
        ("scheduling_class", ctypes.c_uint32),
    )


class _ExtendedLimits(ctypes.Structure):
    """Windows' JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = (
        ("basic", _BasicLimits),
        ("io_counters", ctypes.c_uint64 * 6),
        ("process_memory_limit", ctypes.c_size_t),
        ("job_memory_limit", ctypes.c_size_t),
        ("peak_process_memory_used", ctypes.c_size_t),
        ("peak_job_memory_used", ctypes.c_size_t),
    )


class JobObject:
    """A job of Windows whose processes end with this one: the system closes its only handle then.

    Where Windows refuses, the end of its input is what ends a child.
    """

    def __init__(self, kernel32: Any) -> None:
        self._kernel32 = kernel32
        kernel32.CreateJobObjectW.restype = ctypes.c_void_p  # a handle is as wide as a pointer
        kernel32.OpenProcess.restype = ctypes.c_void_p
        self._handle = ctypes.c_void_p(kernel32.CreateJobObjectW(None, None))
        limits = _ExtendedLimits()
        limits.basic.limit_flags = _KILL_ON_JOB_CLOSE
        kernel32.SetInformationJobObject(
            self._handle, _EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), ctypes.sizeof(limits)
        )

    def add(self, pid: int) -> None:
        """Put a process into the job, with those that it will start."""
        access = _PROCESS_TERMINATE | _PROCESS_SET_QUOTA  # what AssignProcessToJobObject needs
        process = ctypes.c_void_p(self._kernel32.OpenProcess(access, False, pid))
        if process.value:
            self._kernel32.AssignProcessToJobObject(self._handle, process)
            self._kernel32.CloseHandle(process)


@cache
def _job() -> JobObject:
    """Return the one job of this process, which must live as long."""
    return JobObject(ctypes.WinDLL("kernel32"))  # type: ignore[attr-defined]
