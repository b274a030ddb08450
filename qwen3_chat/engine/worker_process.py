"""The client's view of the worker process: its start and end, pending requests, events, cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from qwen3_chat.engine import wire
from qwen3_chat.engine.load_fallback import is_out_of_memory
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineDied, EngineError
from qwen3_chat.events import EngineEvent, Notice, TurnFinished
from qwen3_chat.request import LoadedModel

_MODULE = "qwen3_chat.engine.worker"
_READ_BYTES = 1 << 18
_GRACE_S = 2.0
_SIGNAL_CODES = {"SIGKILL": ErrorCode.ENGINE_KILLED, "SIGILL": ErrorCode.CPU_UNSUPPORTED}

CommandFactory = Callable[[int], wire.AnyWorkerCommand]
"""A function that makes a command from the id of its call."""


class PendingRequest:
    """A command whose answer is awaited, with the messages received so far, in order."""

    def __init__(self, call_id: int) -> None:
        self.call_id = call_id
        self.messages: asyncio.Queue[wire.AnyWorkerMessage | EngineDied] = asyncio.Queue()

    async def next_message(self) -> wire.AnyWorkerMessage:
        """Wait for the next message and return it.

        Raises:
            EngineDied: the process ended before the call did.
        """
        message = await self.messages.get()
        if isinstance(message, EngineDied):
            raise message
        return message


class WorkerProcess:
    """A worker process, from its start to its end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = count(1)
        self._pending: dict[int, PendingRequest] = {}
        self._abort_reason = ""
        self.exit_error: EngineDied | None = None
        """The reason why the process ended; None while it runs."""
        self.on_notice: Callable[[Notice], None] = lambda notice: None
        """The handler of notices that belong to no request."""
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, python: str, log_path: Path) -> WorkerProcess:
        """Start a worker process.

        Raises:
            EngineError: the system could not start the process.
        """
        log_fd = _open_log(log_path)
        try:
            process = await asyncio.create_subprocess_exec(
                *(python, "-P", "-m", _MODULE, str(log_path)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_fd,
                env=_environment(),
                **_own_process_group(),
            )
        except OSError as error:
            raise EngineError(ErrorCode.ENGINE_NOT_STARTED, reason=error.strerror or str(error)) from error
        finally:
            if log_fd >= 0:
                os.close(log_fd)
        return cls(process)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @contextlib.contextmanager
    def open_request(self) -> Iterator[PendingRequest]:
        """Collect the answers to one command while the context is open; later ones are dropped."""
        request = PendingRequest(next(self._ids))
        self._pending[request.call_id] = request
        if self.exit_error:
            request.messages.put_nowait(self.exit_error)
        try:
            yield request
        finally:
            del self._pending[request.call_id]

    def send(self, command: wire.AnyWorkerCommand) -> None:
        """Send a command; do nothing if the process has ended: its pending requests get the error anyway.

        Raises:
            EngineError: the command can't be encoded as UTF-8.
        """
        line = wire.encode(command)
        stdin = self._process.stdin
        if stdin is not None and not stdin.is_closing():
            stdin.write(line)

    async def end(self) -> None:
        """End the process: close its input first, kill it after 2 s."""
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
        incomplete = b""
        try:
            while stdout is not None and (data := await stdout.read(_READ_BYTES)):
                *lines, incomplete = (incomplete + data).split(b"\n")
                for line in lines:
                    self._receive(wire.decode_message(line))
        except msgspec.MsgspecError as error:
            self._abort_reason = str(error)
            self._kill()
        status = await self._process.wait()
        self.exit_error = _error_from_exit(status, self._abort_reason)
        for request in self._pending.values():
            request.messages.put_nowait(self.exit_error)
        stdin = self._process.stdin
        if stdin is not None:
            stdin.close()
            with contextlib.suppress(OSError):  # commands that the process did not read any more
                await stdin.wait_closed()

    def _receive(self, message: wire.AnyWorkerMessage) -> None:
        match message:
            case wire.Ready():
                pass
            case wire.NoticeEmitted(notice):
                self.on_notice(notice)
            case wire.Aborting(reason):
                self._abort_reason = reason
            case _:
                request = self._pending.get(message.call_id)
                if request is not None:
                    request.messages.put_nowait(message)


def _open_log(path: Path) -> int:
    """Open the log for the early output of the process; return its file descriptor.

    It is `DEVNULL`, a negative number, where that fails: a missing log must not prevent a chat.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        return subprocess.DEVNULL


def _environment() -> dict[str, str]:
    """Return an environment with this process's import path, which never contains the current folder."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}


def _own_process_group() -> dict[str, Any]:
    """Return the options that protect the worker from Ctrl+C in the terminal."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _error_from_exit(status: int, abort_reason: str) -> EngineDied:
    """Return the error for the end of a process: aborted by llama.cpp, ended by a signal or by itself."""
    if abort_reason:
        code = ErrorCode.OUT_OF_MEMORY if is_out_of_memory(abort_reason) else ErrorCode.ENGINE_ABORTED
        return EngineDied(code, reason=abort_reason)
    if status >= 0:
        return EngineDied(ErrorCode.ENGINE_EXITED, status=status)
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = str(-status)
    return EngineDied(_SIGNAL_CODES.get(name, ErrorCode.ENGINE_ENDED_BY_SIGNAL), number=-status, name=name)


class Operation:
    """A load or a reply in progress, which can be cancelled even before its command is sent."""

    def __init__(self, operations: set[Operation]) -> None:
        self.is_cancelled = False
        self._operations = operations
        self._worker: WorkerProcess | None = None
        self._request: PendingRequest | None = None

    def __enter__(self) -> Operation:
        self._operations.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._operations.discard(self)

    def attach(self, worker: WorkerProcess, request: PendingRequest) -> None:
        """Register the request that carries out the operation now; cancel it if `cancel` came earlier."""
        self._worker, self._request = worker, request
        if self.is_cancelled:
            self.cancel()

    def detach(self) -> None:
        """Remove the request, which has ended."""
        self._worker = self._request = None

    def cancel(self) -> None:
        """Cancel the operation, now or as soon as its command is sent."""
        self.is_cancelled = True
        if self._worker and self._request:
            self._worker.send(wire.Cancel(self._request.call_id))

    def end_thinking(self) -> None:
        """Make the reply stop thinking and answer now."""
        if self._worker and self._request:
            self._worker.send(wire.EndThinking(self._request.call_id))


async def send_request(worker: WorkerProcess, make_command: CommandFactory) -> wire.AnyWorkerMessage:
    """Send a command and return its only answer.

    Raises:
        EngineDied: the process ended before the answer.
    """
    with worker.open_request() as request:
        worker.send(make_command(request.call_id))
        return await request.next_message()


async def stream_events(
    worker: WorkerProcess, operation: Operation, make_command: CommandFactory
) -> AsyncGenerator[EngineEvent | LoadedModel, None]:
    """Send a command and yield its events until it is done; if closed early, cancel it.

    Raises:
        EngineError: the command failed; `Cancelled` if a load was stopped.
    """
    with worker.open_request() as request:
        worker.send(make_command(request.call_id))
        operation.attach(worker, request)
        is_over = False
        try:
            while not is_over:
                match await request.next_message():
                    case wire.EventEmitted(_, event):
                        is_over = isinstance(event, TurnFinished)
                        yield event
                    case wire.Loaded(_, model):
                        is_over = True
                        yield model
                    case message:
                        is_over = True
                        raise error_from_message(message)
        except EngineDied:
            is_over = True
            raise
        finally:
            if not is_over:
                operation.cancel()
            operation.detach()


def error_from_message(message: wire.AnyWorkerMessage) -> EngineError:
    """Return the error that a message reports; an unexpected message is an error too."""
    match message:
        case wire.CommandFailed():
            return message.to_error()
        case _:
            return EngineError(ErrorCode.UNEXPECTED_FAILURE, error=type(message).__name__)


async def fetch_devices(worker: WorkerProcess) -> tuple[wire.Device, ...]:
    """Return the devices that llama.cpp can compute on, with their free memory.

    Raises:
        EngineError: the process ended or could not list them.
    """
    message = await send_request(worker, wire.ListDevices)
    if not isinstance(message, wire.DevicesListed):
        raise error_from_message(message)
    return message.devices


async def list_devices(log_path: Path, python: str = sys.executable) -> tuple[wire.Device, ...]:
    """Return the devices that llama.cpp can compute on, from a process that ends right after.

    Raises:
        EngineError: the process could not be started, ended early or could not list them.
    """
    worker = await WorkerProcess.start(python, log_path)
    try:
        return await fetch_devices(worker)
    finally:
        await worker.end()
