"""The engine's process as its client sees it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from qwen3_chat.engine import wire
from qwen3_chat.engine.memory_words import speaks_of_memory
from qwen3_chat.errors import EngineDied, EngineError
from qwen3_chat.events import Notice

_MODULE = "qwen3_chat.engine.worker"
_READ_BYTES = 1 << 18
_GRACE_S = 2.0
_SIGNAL_KEYS = {"SIGKILL": "engine.killed", "SIGILL": "engine.wrong_cpu"}


class Call:
    """One command with the replies to it, in order; they stop where the process ends."""

    def __init__(self, call_id: int) -> None:
        self.call_id = call_id
        self.replies: asyncio.Queue[wire.AnyReply | EngineDied] = asyncio.Queue()

    async def next_reply(self) -> wire.AnyReply:
        """Wait for a reply.

        Raises:
            EngineDied: the process ended before the call did.
        """
        reply = await self.replies.get()
        if isinstance(reply, EngineDied):
            raise reply
        return reply


class WorkerProcess:
    """A running worker."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = count(1)
        self._calls: dict[int, Call] = {}
        self._last_words = ""
        self.death: EngineDied | None = None
        """Why the process is no more; None while it runs."""
        self.on_notice: Callable[[Notice], None] = lambda notice: None
        """Called with what the process tells of its own accord."""
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, python: str, log_path: Path) -> WorkerProcess:
        """Start a worker.

        Raises:
            EngineError: the system could not start a process.
        """
        errors = _open_log(log_path)
        try:
            process = await asyncio.create_subprocess_exec(
                *(python, "-P", "-m", _MODULE, str(log_path)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_environment(),
                **_own_process_group(),
            )
        except OSError as error:
            raise EngineError("engine.not_started", reason=error.strerror or str(error)) from error
        finally:
            if errors >= 0:
                os.close(errors)
        return cls(process)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @contextlib.contextmanager
    def open_call(self) -> Iterator[Call]:
        """Make room for the replies to one command; what still arrives afterwards is dropped."""
        call = Call(next(self._ids))
        self._calls[call.call_id] = call
        if self.death:
            call.replies.put_nowait(self.death)
        try:
            yield call
        finally:
            del self._calls[call.call_id]

    def send(self, command: wire.AnyCommand) -> None:
        """Send a command; where the process is gone, its calls hear of it anyway.

        Raises:
            EngineError: the command can't be written as UTF-8.
        """
        line = wire.encode(command)
        stdin = self._process.stdin
        if stdin is not None and not stdin.is_closing():
            stdin.write(line)

    async def end(self) -> None:
        """End the process: ask it first, kill it after 2 s."""
        stdin = self._process.stdin
        if stdin is not None:
            stdin.close()
        try:
            async with asyncio.timeout(_GRACE_S):
                await asyncio.shield(self._reading)
        except TimeoutError:
            self._kill()
            await self._reading

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _read(self) -> None:
        stdout = self._process.stdout
        rest = b""
        try:
            while stdout is not None and (data := await stdout.read(_READ_BYTES)):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._receive(wire.decode_reply(line))
        except msgspec.MsgspecError as error:
            self._last_words = str(error)
            self._kill()
        status = await self._process.wait()
        self.death = _death(status, self._last_words)
        for call in self._calls.values():
            call.replies.put_nowait(self.death)
        stdin = self._process.stdin
        if stdin is not None:
            stdin.close()
            with contextlib.suppress(OSError):  # what was not read any more
                await stdin.wait_closed()

    def _receive(self, reply: wire.AnyReply) -> None:
        match reply:
            case wire.Ready():
                pass
            case wire.Noticed(notice):
                self.on_notice(notice)
            case wire.Aborting(reason):
                self._last_words = reason
            case _:
                call = self._calls.get(reply.call_id)
                if call is not None:
                    call.replies.put_nowait(reply)


def _open_log(path: Path) -> int:
    """Open the log for what the process prints before it takes over; a missing log must not stop a chat."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        return subprocess.DEVNULL


def _environment() -> dict[str, str]:
    """Let the worker import from where this process does, and never from the folder it happens to be in."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}


def _own_process_group() -> dict[str, Any]:
    """Keep Ctrl+C in the terminal away from the worker."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _death(status: int, last_words: str) -> EngineDied:
    """Say how a process ended: by llama.cpp, by a signal or by itself."""
    if last_words:
        key = "engine.out_of_memory" if speaks_of_memory(last_words) else "engine.aborted"
        return EngineDied(key, reason=last_words)
    if status >= 0:
        return EngineDied("engine.ended", status=status)
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = str(-status)
    return EngineDied(_SIGNAL_KEYS.get(name, "engine.signalled"), number=-status, name=name)
