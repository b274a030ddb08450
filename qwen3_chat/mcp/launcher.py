"""A program that runs one MCP server and leaves none of its processes behind.

It is started by its path, with nothing but the standard library: `python -I -S launcher.py PARENT COMMAND …`.
The server is its child, with the same stdin, stdout and stderr. It ends the server with all of its processes
when it is told to (SIGTERM), when its own parent ends, and when the server itself has ended. On Linux it
adopts what the server's processes leave behind, so that one that made a group of its own is ended, too.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
from contextlib import suppress
from threading import Thread
from types import FrameType

REAP_LIMIT_S = 0.8
"""The longest time for which ended processes are waited for, in seconds."""

COMMAND_NOT_RUN = 127

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Run the command until it ends, or until this program is told to end it."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    server = 0

    def end(number: int, frame: FrameType | None) -> None:
        _end_processes(server)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))
        libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM))
    else:
        Thread(target=_wait_for_end_of, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it ended before it was watched
        os._exit(0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until the server's number is known
    server = os.fork()
    if server == 0:
        _become(command)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    while True:
        ended, status = os.wait()
        if ended == server:
            _end_processes(server)
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _become(command: list[str]) -> None:
    """Replace this process by the server, in a group of its own."""
    os.setpgid(0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    try:
        os.execv(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode(errors="replace"))
    os._exit(COMMAND_NOT_RUN)


def _end_processes(server: int) -> None:
    """Kill the group of the server, then all processes below this one, until the time is up."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if server:
        _kill(-server)
    deadline_s = time.monotonic() + REAP_LIMIT_S
    while time.monotonic() < deadline_s:
        for child in _children():
            _kill(child)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.005)


def _children() -> list[int]:
    """Return the processes whose parent this one is; none where the system does not tell."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return


def _wait_for_end_of(parent: int) -> None:
    queue = select.kqueue()  # type: ignore[attr-defined,unused-ignore]
    end = select.kevent(  # type: ignore[attr-defined,unused-ignore]
        parent,
        filter=select.KQ_FILTER_PROC,  # type: ignore[attr-defined,unused-ignore]
        flags=select.KQ_EV_ADD | select.KQ_EV_ONESHOT,  # type: ignore[attr-defined,unused-ignore]
        fflags=select.KQ_NOTE_EXIT,  # type: ignore[attr-defined,unused-ignore]
    )
    with suppress(OSError):  # it has ended already
        queue.control([end], 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
