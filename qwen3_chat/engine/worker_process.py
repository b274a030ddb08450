"""The client's view of the worker process: its messages, pending requests, events, cancellation, errors."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import msgspec

from qwen3_chat.child_process import ChildProcess, LineTooLong
from qwen3_chat.engine import wire
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineDied, EngineError
from qwen3_chat.events import AnswerDelta, EventSink, Notice, ReasoningDelta, TurnFinished

_MODULE = "qwen3_chat.engine.worker"
CANCEL_TIMEOUT_S = 30.0
"""The time that a cancelled command has to end; a portion of a prompt takes seconds on a slow processor."""
IMPATIENCE_S = 1.0
"""The time after which another cancellation means that the caller does not want to wait."""
_SIGNAL_CODES = {"SIGKILL": ErrorCode.ENGINE_KILLED, "SIGILL": ErrorCode.CPU_UNSUPPORTED}
_WINDOWS_EXCEPTIONS = {
    0xC0000005: "SIGSEGV",  # STATUS_ACCESS_VIOLATION
    0xC000001D: "SIGILL",  # STATUS_ILLEGAL_INSTRUCTION
    0xC00000FD: "SIGSEGV",  # STATUS_STACK_OVERFLOW
    0xC0000409: "SIGABRT",  # STATUS_STACK_BUFFER_OVERRUN, which `abort` ends with
}
"""The statuses of processes that Windows ended, with the signals that they would have got elsewhere."""

CommandFactory = Callable[[int], wire.AnyWorkerCommand]
"""A function that makes a command from the id of its call."""

MessageSink = Callable[[wire.AnyWorkerMessage], None]
"""A function that takes each message at once."""


class PendingRequest:
    """A command that the process works on, with the handlers of what arrives before its last message.

    The handlers are called by the function that reads the process's output, at once and in order. If one of
    them fails, the command counts as failed with that error.
    """

    def __init__(
        self, worker: WorkerProcess, call_id: int, on_event: EventSink, on_message: MessageSink
    ) -> None:
        self.call_id = call_id
        self.on_event = on_event
        self.on_message = on_message
        self.has_text = False
        """True once a piece of the reply has arrived."""
        self.outcome: asyncio.Future[wire.AnyWorkerMessage | Exception] = asyncio.Future()
        """The last message, or the error that ended the request."""
        self._worker = worker

    async def last_message(self) -> wire.AnyWorkerMessage:
        """Wait for the last message and return it.

        If the caller is cancelled, the command is cancelled, and what the process had generated until then
        still arrives. A process that does not answer is killed after a while.

        Raises:
            EngineDied: the process ended before the command did.
        """
        try:
            outcome = await asyncio.shield(self.outcome)
        except asyncio.CancelledError:
            self.cancel()
            await self._wait_after_cancel()
            raise
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _wait_after_cancel(self) -> None:
        """Wait for the end of the cancelled command; a caller who is cancelled again later does not wait."""
        now_s = asyncio.get_running_loop().time
        cancelled_s = now_s()
        while not self.outcome.done():
            try:
                await asyncio.wait({self.outcome}, timeout=cancelled_s + CANCEL_TIMEOUT_S - now_s())
            except asyncio.CancelledError:
                if now_s() - cancelled_s > IMPATIENCE_S:
                    raise
            else:
                if not self.outcome.done():
                    self._worker.kill()
                    return

    def end_with(self, outcome: wire.AnyWorkerMessage | Exception) -> None:
        """Set the outcome, unless there is one."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def cancel(self) -> None:
        """Make the process stop working on the command."""
        self._worker.send(wire.Cancel(self.call_id))

    def end_thinking(self) -> None:
        """Make the reply stop thinking and answer now."""
        self._worker.send(wire.EndThinking(self.call_id))


class WorkerConnection(Protocol):
    """The way to a worker: a child process of ours, or the holder of a warm one."""

    @property
    def pid(self) -> int:
        """The id of the process."""
        ...

    def write(self, line: bytes) -> None:
        """Write a line without waiting until it is read."""
        ...

    async def read_lines(self) -> list[bytes]:
        """Wait for output and return the lines that are complete by then; none at the end.

        Raises:
            LineTooLong: there are too many bytes without the end of a line.
        """
        ...

    async def wait(self) -> int:
        """Wait for the end and return the exit status, or the negative number of the signal."""
        ...

    async def close_input(self) -> None:
        """Close the way to the process."""
        ...

    def kill(self) -> None:
        """Kill the process, or have its holder do so."""
        ...

    async def end(self, reading: asyncio.Task[Any]) -> None:
        """End the process; `reading` is the task that reads its lines."""
        ...

    async def release(self, reading: asyncio.Task[Any]) -> None:
        """Leave the process to its holder; end it where it has none."""
        ...


class WorkerProcess:
    """A worker process, from its start to its end."""

    def __init__(self, process: WorkerConnection) -> None:
        self._process = process
        self._ids = count(1)
        self._pending: dict[int, PendingRequest] = {}
        self._abort_reason = ""
        self._reported_end: EngineDied | None = None  # as the holder of a warm engine tells it
        self.exit_error: EngineDied | None = None
        """The reason why the process ended; None while it runs."""
        self.on_notice: Callable[[Notice], None] = lambda notice: None
        """The handler of notices that belong to no request."""
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls, python: str, log_path: Path, environment: Mapping[str, str] | None = None
    ) -> WorkerProcess:
        """Start a worker process; `environment` takes the place of this process's own.

        Raises:
            EngineError: the system could not start the process.
        """
        try:
            process = await ChildProcess.start(
                _MODULE, str(log_path), log_path=log_path, python=python, environment=environment
            )
        except OSError as error:
            raise EngineError(ErrorCode.ENGINE_NOT_STARTED, reason=error.strerror or str(error)) from error
        return cls(process)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @contextlib.contextmanager
    def open_request(
        self,
        make_command: CommandFactory,
        on_event: EventSink = lambda event: None,
        on_message: MessageSink = lambda message: None,
    ) -> Iterator[PendingRequest]:
        """Send a command and pass on what the process reports about it while the context is open.

        Events go to `on_event`, other messages but the last one to `on_message`.
        """
        request = PendingRequest(self, next(self._ids), on_event, on_message)
        self._pending[request.call_id] = request
        if self.exit_error:
            request.end_with(self.exit_error)
        try:
            self.send(make_command(request.call_id))
            yield request
        finally:
            del self._pending[request.call_id]

    async def request(
        self, make_command: CommandFactory, on_event: EventSink = lambda event: None
    ) -> wire.AnyWorkerMessage:
        """Send a command, pass on its events, return its last message; see `PendingRequest.last_message`.

        Raises:
            EngineDied: the process ended before the command did.
        """
        with self.open_request(make_command, on_event) as request:
            return await request.last_message()

    async def ask(
        self, make_command: CommandFactory, on_message: MessageSink = lambda message: None
    ) -> wire.AnyWorkerMessage:
        """Send a command and return its last message; a caller who is cancelled does not wait for its end.

        Raises:
            EngineDied: the process ended before the command did.
        """
        with self.open_request(make_command, on_message=on_message) as request:
            outcome = await request.outcome
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def send(self, command: wire.AnyWorkerCommand) -> None:
        """Send a command; do nothing if the process has ended: its pending requests get the error anyway.

        Raises:
            EngineError: the command can't be encoded as UTF-8.
        """
        self._process.write(wire.encode(command))

    def cancel_requests(self) -> None:
        """Make the process stop working on everything it was asked."""
        for request in self._pending.values():
            request.cancel()

    async def end(self) -> None:
        """End the process: close its input first, kill it after 2 s."""
        await self._process.end(self._reading)

    async def release(self) -> None:
        """Leave the process to those who ask next where it is a warm one, else end it."""
        await self._process.release(self._reading)

    async def wait(self) -> EngineDied:
        """Wait until the process has ended, and return why."""
        await asyncio.shield(self._reading)
        assert self.exit_error is not None
        return self.exit_error

    def kill(self) -> None:
        """Kill the process, which may hang."""
        self._process.kill()

    async def _read(self) -> None:
        try:
            while lines := await self._process.read_lines():
                for line in lines:
                    self._receive(wire.decode_message(line))
        except (msgspec.MsgspecError, LineTooLong) as error:
            self._abort_reason = str(error)
            self._process.kill()
        status = await self._process.wait()
        self.exit_error = self._reported_end or _error_from_exit(status, self._abort_reason)
        for request in self._pending.values():
            request.end_with(self.exit_error)
        await self._process.close_input()

    def _receive(self, message: wire.AnyWorkerMessage) -> None:
        match message:
            case wire.Ready():
                pass
            case wire.NoticeEmitted(notice):
                self.on_notice(notice)
            case wire.Aborting(reason):
                self._abort_reason = reason
            case wire.Ended():
                self._reported_end = message.to_error()
            case _ if (request := self._pending.get(message.call_id)) and not request.outcome.done():
                try:
                    match message:
                        case wire.EventEmitted(_, event):
                            request.has_text |= isinstance(event, ReasoningDelta | AnswerDelta)
                            request.on_event(event)
                            if isinstance(event, TurnFinished):
                                request.end_with(message)
                        case wire.SavingSnapshot() | wire.TrialFinished():
                            request.on_message(message)
                        case _:
                            request.end_with(message)
                except Exception as error:  # of a handler; this function must go on reading
                    request.end_with(error)
                    request.cancel()


def _error_from_exit(status: int, abort_reason: str) -> EngineDied:
    """Return the error for the end of a process: aborted by llama.cpp, ended by a signal or by itself."""
    if abort_reason:
        from qwen3_chat.engine.load_fallback import is_out_of_memory  # here: few processes end like this

        code = ErrorCode.OUT_OF_MEMORY if is_out_of_memory(abort_reason) else ErrorCode.ENGINE_ABORTED
        return EngineDied(code, reason=abort_reason)
    if status in _WINDOWS_EXCEPTIONS:
        number, name = status, _WINDOWS_EXCEPTIONS[status]
    elif status >= 0:
        return EngineDied(ErrorCode.ENGINE_EXITED, status=status)
    else:
        number = -status
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = str(number)
    return EngineDied(_SIGNAL_CODES.get(name, ErrorCode.ENGINE_ENDED_BY_SIGNAL), number=number, name=name)


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
    return _listed_devices(await worker.request(wire.ListDevices))


def _listed_devices(message: wire.AnyWorkerMessage) -> tuple[wire.Device, ...]:
    if not isinstance(message, wire.DevicesListed):
        raise error_from_message(message)
    return message.devices


async def measure_kernels(
    log_path: Path, python: str = sys.executable, environment: Mapping[str, str] | None = None
) -> tuple[wire.MeasuredDevice, ...]:
    """Measure the devices that llama.cpp can compute on, in a process that ends right after.

    Raises:
        EngineError: the process could not be started, ended early or could not measure them.
    """
    message = await _ask_one_off(wire.MeasureKernels, log_path, python, environment)
    if not isinstance(message, wire.KernelsMeasured):
        raise error_from_message(message)
    return message.devices


async def list_devices(
    log_path: Path, python: str = sys.executable, environment: Mapping[str, str] | None = None
) -> tuple[wire.Device, ...]:
    """Return the devices that llama.cpp can compute on, from a process that ends right after.

    Raises:
        EngineError: the process could not be started, ended early or could not list them.
    """
    return _listed_devices(await _ask_one_off(wire.ListDevices, log_path, python, environment))


async def _ask_one_off(
    make_command: CommandFactory, log_path: Path, python: str, environment: Mapping[str, str] | None
) -> wire.AnyWorkerMessage:
    """Return the answer of a process that ends right after.

    Raises:
        EngineError: the process could not be started, or ended early.
    """
    async with one_off_worker(log_path, python, environment) as worker:
        return await worker.ask(make_command)


@contextlib.asynccontextmanager
async def one_off_worker(
    log_path: Path, python: str, environment: Mapping[str, str] | None
) -> AsyncGenerator[WorkerProcess, None]:
    """Start a process that ends with the context: at once where the caller is cancelled.

    Raises:
        EngineError: the process could not be started.
    """
    worker = await WorkerProcess.start(python, log_path, environment)
    try:
        yield worker
    except asyncio.CancelledError:
        worker.kill()  # nobody waits for what it does
        raise
    finally:
        await worker.end()
