"""A child dies with its parent; what only other systems have is imitated."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from contextlib import suppress
from queue import SimpleQueue
from select import select
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from qwen3_chat.parent_death import (
    PARENT_VARIABLE,
    JobObject,
    parent_variables,
    request_death_signal,
    watch_with_kqueue,
)
from tests.conftest import REPOSITORY, WAIT_LIMIT_S

COMMAND = [sys.executable, "-m", "tests.processes.children"]
PARENT, NO_PARENT = os.getppid(), os.getpid()

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux's death signal and process descriptors")


@on_linux
def test_a_child_in_one_operation_without_end_dies_with_its_parent() -> None:
    with subprocess.Popen([*COMMAND, "have_a_busy_child"], stdout=subprocess.PIPE, cwd=REPOSITORY) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        descriptor = os.pidfd_open(child)
        parent.kill()
        ended, _, _ = select([descriptor], [], [], WAIT_LIMIT_S)
        os.close(descriptor)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    assert ended


@on_linux
@pytest.mark.parametrize(
    ("parent", "status"),
    [(str(PARENT), -signal.SIGKILL), (str(NO_PARENT), 0), ("", 0)],
    ids=["the parent is gone", "the parent lives", "no child"],
)
def test_a_child_that_starts_after_its_parent_s_end_dies_at_once(parent: str, status: int) -> None:
    environment = {**os.environ, PARENT_VARIABLE: parent}
    run = subprocess.run(
        [*COMMAND, "tell_parent"], env=environment, cwd=REPOSITORY, capture_output=True, check=False
    )
    assert (run.returncode, bool(run.stdout)) == (status, status == 0)


def test_a_child_learns_the_number_of_its_parent() -> None:
    assert parent_variables() == {PARENT_VARIABLE: str(os.getpid())}


def test_a_refused_death_signal_stops_no_child() -> None:
    calls: list[Any] = []
    request_death_signal(PARENT, calls.append, SimpleNamespace(prctl=lambda *_: -1))  # type: ignore[arg-type]
    assert calls == []


class ImitatedKqueue:
    """The part of `select` that BSDs have: a queue that reports the end of a process."""

    KQ_FILTER_PROC, KQ_EV_ADD, KQ_EV_ONESHOT, KQ_NOTE_EXIT = -5, 0x1, 0x10, 0x80000000

    def __init__(self, is_gone: bool = False) -> None:
        self.is_gone = is_gone
        self.registered: list[Any] = []
        self.ends: SimpleQueue[str] = SimpleQueue()

    def kqueue(self) -> ImitatedKqueue:
        return self

    def kevent(self, ident: int, filter: int, flags: int, fflags: int) -> tuple[int, int, int, int]:
        return ident, filter, flags, fflags

    def control(self, changes: list[Any] | None, max_events: int) -> list[Any]:
        if changes and self.is_gone:
            raise ProcessLookupError
        self.registered += changes or []
        return [self.ends.get() for _ in range(max_events)]


def test_kqueue_reports_the_end_of_the_parent_to_a_thread_that_kills() -> None:
    system, killed = ImitatedKqueue(), Event()
    watch_with_kqueue(PARENT, killed.set, system)
    assert system.registered == [(PARENT, -5, 0x11, 0x80000000)]
    assert not killed.is_set()
    system.ends.put("exit")
    assert killed.wait(WAIT_LIMIT_S)


@pytest.mark.parametrize(
    ("parent", "is_gone"), [(PARENT, True), (NO_PARENT, False)], ids=["gone", "another one by now"]
)
def test_kqueue_is_not_needed_for_a_parent_that_is_gone(parent: int, is_gone: bool) -> None:
    killed = Event()
    watch_with_kqueue(parent, killed.set, ImitatedKqueue(is_gone))
    assert killed.is_set()


class ImitatedFunction:
    """A function of a library that ctypes opened; it takes down its calls."""

    def __init__(self, result: int | None) -> None:
        self.restype: Any = ctypes.c_int
        self.result = result
        self.calls: list[tuple[Any, ...]] = []

    def __call__(self, *arguments: Any) -> int | None:
        self.calls.append(arguments)
        return self.result


JOB, PROCESS = 0x7FFF_0000_0010, 0x7FFF_0000_0020


def imitated_kernel32(process: int | None = PROCESS) -> SimpleNamespace:
    return SimpleNamespace(
        CreateJobObjectW=ImitatedFunction(JOB),
        SetInformationJobObject=ImitatedFunction(1),
        OpenProcess=ImitatedFunction(process),
        AssignProcessToJobObject=ImitatedFunction(1),
        CloseHandle=ImitatedFunction(1),
    )


def test_a_job_ends_its_processes_when_the_system_closes_it() -> None:
    kernel32 = imitated_kernel32()
    job = JobObject(kernel32)
    ((handle, information, limits, size_bytes),) = kernel32.SetInformationJobObject.calls
    assert (handle.value, information) == (JOB, 9)
    limits = limits._obj
    assert limits.basic.limit_flags == 0x2000
    if ctypes.sizeof(ctypes.c_void_p) == 8:  # the sizes that Windows checks
        assert size_bytes == ctypes.sizeof(limits) == 144
        assert type(limits.basic).limit_flags.offset == 16
        assert type(limits).process_memory_limit.offset == 112
    job.add(123)
    assert kernel32.OpenProcess.calls == [(0x101, False, 123)]
    ((handle, process),) = kernel32.AssignProcessToJobObject.calls
    assert (handle.value, process.value) == (JOB, PROCESS)
    ((closed,),) = kernel32.CloseHandle.calls  # the process's; the job's stays open as long as this process
    assert closed.value == PROCESS
    assert kernel32.CreateJobObjectW.restype is kernel32.OpenProcess.restype is ctypes.c_void_p


def test_a_process_that_has_ended_already_is_in_no_job() -> None:
    kernel32 = imitated_kernel32(process=None)
    JobObject(kernel32).add(123)
    assert kernel32.AssignProcessToJobObject.calls == kernel32.CloseHandle.calls == []
