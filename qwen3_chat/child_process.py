"""Child processes: Python modules of this program that run in processes of their own and talk in lines."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qwen3_chat.log_file import open_log
from qwen3_chat.parent_death import bind_child, parent_variables

MAX_LINE_BYTES = 1 << 26
"""The most that is read in search of the end of a line; the ids of the longest reply are far less."""

GRACE_S = 2.0
"""The time that a process has to end by itself, once its input is closed."""

_READ_BYTES = 1 << 18


class LineTooLong(ValueError):
    """A child wrote a line without an end."""


class LineBuffer:
    """Bytes as they arrive, cut into lines of limited length."""

    def __init__(self, max_line_bytes: int) -> None:
        self.max_line_bytes = max_line_bytes
        self._incomplete = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Add bytes; return the lines that are complete now, without their ends.

        Raises:
            LineTooLong: there are too many bytes without the end of a line.
        """
        first, *others = data.split(b"\n")
        self._incomplete += first
        if max(len(self._incomplete), *map(len, others), 0) > self.max_line_bytes:
            raise LineTooLong(f"more than {self.max_line_bytes} bytes without the end of a line")
        if not others:
            return []
        lines = [bytes(self._incomplete), *others[:-1]]
        self._incomplete[:] = others[-1]
        return lines


class ChildProcess:
    """A child process, from its start to its end, which comes with that of this process at the latest.

    Its module calls `die_with_parent` first of all. It has a process group of its own: Ctrl+C in the
    terminal does not reach it, and what it starts is killed with it.
    """

    def __init__(self, process: asyncio.subprocess.Process, max_line_bytes: int) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._lines = LineBuffer(max_line_bytes)
        self._has_ended = False

    @classmethod
    async def start(
        cls,
        module: str,
        *arguments: str,
        log_path: Path | None,
        python: str = sys.executable,
        max_line_bytes: int = MAX_LINE_BYTES,
        environment: Mapping[str, str] | None = None,
    ) -> ChildProcess:
        """Start a module; what it writes to stderr is added to the log, if there is one.

        `environment` takes the place of this process's own.

        Raises:
            OSError: the system could not start the process.
        """
        log_fd = subprocess.DEVNULL if log_path is None else _open_log(log_path)
        try:
            process = await asyncio.create_subprocess_exec(
                *(python, "-P", "-m", module, *arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_fd,
                env={**child_environment(environment), **parent_variables()},
                **own_process_group(),
            )
        finally:
            if log_fd >= 0:
                os.close(log_fd)
        bind_child(process.pid)
        return cls(process, max_line_bytes)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def write(self, line: bytes) -> None:
        """Write a line without waiting until it is read; do nothing once the input is closed."""
        if not self._stdin.is_closing():
            self._stdin.write(line)

    async def read_lines(self) -> list[bytes]:
        """Wait for output and return the lines that are complete by then, without their ends.

        The list is empty when the output has ended, and only then.

        Raises:
            LineTooLong: there are too many bytes without the end of a line.
        """
        while data := await self._stdout.read(_READ_BYTES):
            if lines := self._lines.feed(data):
                return lines
        return []

    async def wait(self) -> int:
        """Wait for the end of process and output, drop what is still unread, and return the exit status.

        A negative status is the number of the signal that ended the process.
        """
        while await self._stdout.read(_READ_BYTES):
            pass  # asyncio tells the end only once nothing is left to read
        status = await self._process.wait()
        self._has_ended = True
        return status

    async def close_input(self) -> None:
        """Close the input; what is still to be written to a process that has ended is dropped."""
        self._stdin.close()
        with contextlib.suppress(OSError):
            await self._stdin.wait_closed()

    def kill(self) -> None:
        """Kill the process and those of its group that still run."""
        if self._has_ended:
            return  # the number may be that of another process by now
        if sys.platform == "win32":
            self._process.kill()
        else:
            # macOS refuses a group of which only an unnoticed end is left
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    async def discard(self) -> int:
        """Kill the process if it still runs, drop its output, and return the exit status that it had."""
        self.kill()
        status = await self.wait()
        await self.close_input()
        return status

    async def end(self, reading: asyncio.Task[Any], grace_s: float = GRACE_S) -> None:
        """End the process: close its input, kill it if it still runs after the grace period.

        `reading` is the task that reads the lines and then waits for the end; if it fails, so does this.
        """
        self._stdin.close()
        await asyncio.wait([reading], timeout=grace_s)
        self.kill()
        await reading

    async def release(self, reading: asyncio.Task[Any]) -> None:
        """End the process: a child has nobody but its parent."""
        await self.end(reading)


async def start_outliving(
    module: str,
    *arguments: str,
    log_path: Path,
    python: str = sys.executable,
    environment: Mapping[str, str] | None = None,
    descriptors: tuple[int, ...] = (),
) -> asyncio.subprocess.Process:
    """Start a module that may outlive this process, and inherits the descriptors; see `ChildProcess.start`.

    Raises:
        OSError: the system could not start the process.
    """
    log_fd = _open_log(log_path)
    try:
        return await asyncio.create_subprocess_exec(
            *(python, "-P", "-m", module, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log_fd,
            env=child_environment(environment),
            pass_fds=descriptors,
            **own_process_group(),
        )
    finally:
        if log_fd >= 0:
            os.close(log_fd)


def split_command(line: str, system: str = sys.platform) -> list[str]:
    """Return the words of a command as the system's shell divides them, without the quotes around them.

    On Windows a backslash is part of a path and only double quotes hold words together.

    Raises:
        ValueError: a quotation mark is left open.
    """
    import shlex

    if system != "win32":
        return shlex.split(line)
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.escape, lexer.quotes, lexer.commenters = True, "", '"', ""
    return list(lexer)


def _open_log(path: Path) -> int:
    """Open the log for the early output of the process; return its file descriptor.

    It is `DEVNULL`, a negative number, where that fails: a missing log must not prevent a chat.
    """
    try:
        return open_log(path)
    except OSError:
        return subprocess.DEVNULL


def child_environment(environment: Mapping[str, str] | None) -> dict[str, str]:
    """Return the variables with this process's import path, which never contains the current folder."""
    python_path = os.pathsep.join(map(os.path.abspath, sys.path))
    return {**(os.environ if environment is None else environment), "PYTHONPATH": python_path}


def own_process_group() -> dict[str, Any]:
    """Return the options that keep the signals of the terminal from a process, Ctrl+C among them."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}
