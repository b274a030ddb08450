"""The process that keeps an engine warm: `-m qwen3_chat.engine.warm_holder FD SOCKET LOG MINUTES VERSION`.

It has a worker as any other client has one, and lets callers talk to it over a private socket, one after the
other. It ends by itself: when nobody has asked for a while, when memory gets short, when its worker dies.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

from qwen3_chat.child_process import GRACE_S, MAX_LINE_BYTES, LineBuffer, LineTooLong
from qwen3_chat.engine import warm_messages, wire
from qwen3_chat.engine.load_plan import SPARE_MEMORY_BYTES
from qwen3_chat.engine.warm_messages import MAX_GREETING_BYTES, Attach, Attached, QueryStatus, Queued, Stop
from qwen3_chat.engine.warm_socket import peer_user_id, user_id
from qwen3_chat.engine.worker_process import PendingRequest, WorkerProcess
from qwen3_chat.errors import EngineDied, EngineError
from qwen3_chat.request import LoadedModel

MAX_CALLERS: Final = 32
"""The most callers at once, those that wait included; others are sent away."""
MAX_OPEN_COMMANDS: Final = 64
"""The most commands of a caller that are carried out at the same time."""
MAX_UNREAD_BYTES: Final = 16 << 20
"""The most that a caller may leave unread before it loses its turn."""
GREETING_TIMEOUT_S: Final = 5.0
CHECK_INTERVAL_S: Final = 5.0
"""The time between two looks at memory and socket while nobody asks."""
LOAD_GRACE_S: Final = 5.0
"""The time that the process waits for a caller while it has no model."""
MEMORY_SHARE: Final = 20
"""A twentieth of the memory, or 1 GiB if that is less, has to stay available."""

_READ_BYTES = 1 << 16
_MIN_WAIT_S = 0.05


class Caller:
    """A caller's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._lines = LineBuffer(MAX_GREETING_BYTES)
        self.requests: dict[int, PendingRequest] = {}
        """The commands that the worker works on, by the ids that the caller gave them."""

    def is_of_this_user(self) -> bool:
        """Return whether the caller's process belongs to the user of this one."""
        return peer_user_id(self._writer.get_extra_info("socket")) == user_id()

    def accept_commands(self) -> None:
        """Accept lines of the length that a command may have."""
        self._lines.max_line_bytes = MAX_LINE_BYTES

    async def read_lines(self) -> list[bytes]:
        """Wait for lines; an empty list when the caller has gone.

        Raises:
            LineTooLong: there are too many bytes without the end of a line.
        """
        with suppress(OSError):
            while data := await self._reader.read(_READ_BYTES):
                if lines := self._lines.feed(data):
                    return lines
        return []

    def write(self, line: bytes) -> None:
        """Send a line, unless the caller has gone or reads nothing any more."""
        if self._writer.transport.is_closing():
            return
        self._writer.write(line)
        if self._writer.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self._writer.transport.abort()

    def drop(self) -> None:
        """Close the connection as soon as what was written has left."""
        self._writer.close()


class WarmHolder:
    """The holder of a worker, with the queue of those who want to talk to it."""

    def __init__(
        self,
        worker: WorkerProcess,
        path: Path,
        minutes: float,
        version: str,
        available_bytes: Callable[[], int] = lambda: psutil.virtual_memory().available,
    ) -> None:
        self._worker = worker
        self._path = path
        self._inode = path.stat().st_ino
        self._minutes = minutes
        self._version = version
        self._available_bytes = available_bytes
        self._turn = asyncio.Lock()
        self._callers = set[Caller]()
        self._serving = set[asyncio.Task[None]]()
        self._key: str | None = None
        """The key of the caller whose model is loaded."""
        self._model: LoadedModel | None = None
        self._idle_since_s = _now_s()
        self._is_stopping = False
        self._end = asyncio.Event()

    async def run(self, listener: socket.socket) -> EngineDied | None:
        """Serve callers until it is time to end; return why the worker died, if that is the reason."""
        options: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
        server = await asyncio.start_unix_server(self._accept, sock=listener, **options)
        death = asyncio.create_task(self._worker.wait())
        end = asyncio.create_task(self._end.wait())
        check = asyncio.create_task(self._check())
        await asyncio.wait({death, end, check}, return_when=asyncio.FIRST_COMPLETED)
        for task in (end, check):
            task.cancel()
        error = death.result() if death.done() else None
        if error is None:
            self._remove_socket()
            server.close()
            await self._worker.end()
        else:  # the socket stays, as that of a holder that was killed, so that the next caller says so
            server.close()
            for caller in self._callers:
                caller.write(wire.encode(wire.Ended(error.code.text_key, error.plain_values)))
        for caller in self._callers:  # to whom the end of the connection says that the memory is free
            caller.drop()
        if self._serving:
            await asyncio.wait(self._serving, timeout=GRACE_S)
        return error

    def stop(self) -> None:
        """End as soon as the caller that has its turn is done; nobody new gets one."""
        self._is_stopping = True
        self._remove_socket()
        if not self._turn.locked():
            self._end.set()

    async def _check(self) -> None:
        """Return when it is time to end."""
        while True:
            wait_s = CHECK_INTERVAL_S if self._turn.locked() else min(CHECK_INTERVAL_S, self._ends_in_s())
            await asyncio.sleep(max(_MIN_WAIT_S, wait_s))
            if self._turn.locked():
                continue
            if self._ends_in_s() <= 0 or self._is_memory_short() or not self._owns_socket():
                return

    def _ends_in_s(self) -> float:
        wait_s = LOAD_GRACE_S if self._model is None else self._minutes * 60
        return self._idle_since_s + wait_s - _now_s()

    def _is_memory_short(self) -> bool:
        limit = min(SPARE_MEMORY_BYTES, psutil.virtual_memory().total // MEMORY_SHARE)
        return self._available_bytes() < limit

    def _owns_socket(self) -> bool:
        """Return whether callers still find this process: somebody may have emptied the folder."""
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False

    def _remove_socket(self) -> None:
        if self._owns_socket():
            self._path.unlink(missing_ok=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = Caller(reader, writer)
        try:
            if not caller.is_of_this_user() or len(self._callers) >= MAX_CALLERS:
                return
            self._callers.add(caller)
            async with asyncio.timeout(GREETING_TIMEOUT_S):
                lines = await caller.read_lines()
            if len(lines) != 1:
                return
            match warm_messages.decode_greeting(lines[0]):
                case QueryStatus():
                    caller.write(warm_messages.encode_greeting(self._status()))
                case Stop():
                    self.stop()
                    await caller.read_lines()  # its end tells the caller when it is done
                case Attach() as attach:
                    await self._queue(caller, attach)
        except (msgspec.MsgspecError, LineTooLong, TimeoutError, EngineError):
            pass  # whoever sends what makes no sense is sent away
        finally:
            if not self._is_stopping:  # else the end of it all drops it
                self._callers.discard(caller)
                caller.drop()

    async def _queue(self, caller: Caller, attach: Attach) -> None:
        """Wait for the caller's turn, and serve it."""
        if self._is_stopping or (not attach.takes_any and self._has_other_model(attach)):
            caller.write(warm_messages.encode_greeting(Attached(0, has_other_model=True)))
            return
        if self._turn.locked():
            caller.write(warm_messages.encode_greeting(Queued(len(self._callers) - 1)))
        turn = asyncio.ensure_future(self._turn.acquire())
        first = asyncio.ensure_future(caller.read_lines())
        await asyncio.wait({turn, first}, return_when=asyncio.FIRST_COMPLETED)
        if not turn.done():  # it has gone, or speaks before it is asked
            turn.cancel()
            with suppress(LineTooLong):
                await first
            return
        try:
            if self._is_stopping:
                return
            if attach.minutes is not None:
                self._minutes = attach.minutes
            is_loaded = self._model is not None and self._key == attach.key
            caller.write(
                warm_messages.encode_greeting(
                    Attached(
                        self._worker.pid, self._model if is_loaded else None, self._has_other_model(attach)
                    )
                )
            )
            await self._relay(caller, attach.key, first)
        finally:
            self._idle_since_s = _now_s()
            self._turn.release()
            if self._is_stopping:
                self._end.set()

    def _has_other_model(self, attach: Attach) -> bool:
        return self._key is not None and self._key != attach.key

    async def _relay(self, caller: Caller, key: str, reading: asyncio.Future[list[bytes]]) -> None:
        """Pass on the commands of a caller and their answers until it has gone; then stop what it left."""
        caller.accept_commands()
        tasks = set[asyncio.Task[None]]()
        self._worker.on_notice = lambda notice: caller.write(wire.encode(wire.NoticeEmitted(notice)))
        try:
            lines = await reading
            while lines:
                for line in lines:
                    match warm_messages.decode_caller_command(line):
                        case Stop():
                            self.stop()
                            return
                        case wire.Cancel(call_id):
                            if request := caller.requests.get(call_id):
                                request.cancel()
                        case wire.EndThinking(call_id):
                            if request := caller.requests.get(call_id):
                                request.end_thinking()
                        case command if (
                            len(tasks) < MAX_OPEN_COMMANDS and command.call_id not in caller.requests
                        ):
                            task = asyncio.create_task(self._carry_out(caller, key, command))
                            tasks.add(task)
                            task.add_done_callback(tasks.discard)
                            await asyncio.sleep(0)  # it is sent now, before what may stop it is read
                        case _:
                            return
                lines = await caller.read_lines()
        finally:
            reading.cancel()
            self._worker.on_notice = lambda notice: None
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def _carry_out(self, caller: Caller, key: str, command: wire.AnyWorkerCommand) -> None:
        """Have the worker carry out a command; a caller that has gone cancels it."""
        call_id = command.call_id

        def pass_on(message: wire.AnyWorkerMessage) -> None:
            caller.write(wire.encode(msgspec.structs.replace(message, call_id=call_id)))

        with self._worker.open_request(
            lambda own_id: msgspec.structs.replace(command, call_id=own_id),
            lambda event: caller.write(wire.encode(wire.EventEmitted(call_id, event))),
            pass_on,
        ) as request:
            if isinstance(command, wire.RemoveSnapshot):
                return  # which has no answer
            caller.requests[call_id] = request
            try:
                message = await request.last_message()
            except EngineDied:
                return  # the caller is told by the end of it all
            finally:
                caller.requests.pop(call_id, None)
                self._note_model(request, key)
            if not isinstance(message, wire.EventEmitted):  # the last event has been passed on
                pass_on(message)

    def _note_model(self, request: PendingRequest, key: str) -> None:
        """Note the model that a load has left, even one whose caller has gone."""
        if request.outcome.done() and isinstance(loaded := request.outcome.result(), wire.Loaded):
            if self._model is None:
                self._key = key
            self._model = loaded.model

    def _status(self) -> warm_messages.WarmStatus:
        memory_bytes = 0
        with suppress(psutil.Error):
            memory_bytes = psutil.Process(self._worker.pid).memory_info().rss
        return warm_messages.WarmStatus(
            os.getpid(),
            self._version,
            "" if self._model is None else self._model.title,
            self._minutes,
            max(0.0, self._ends_in_s()),
            len(self._callers) - 1,
            memory_bytes,
        )


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def _run(listener: socket.socket, path: Path, log_path: Path, minutes: float, version: str) -> None:
    worker = await WorkerProcess.start(sys.executable, log_path)
    holder = WarmHolder(worker, path, minutes, version)
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, holder.stop)
    await holder.run(listener)


def main(arguments: list[str]) -> None:
    """Leave the caller, whose process goes on without this one, and serve."""
    if os.fork():  # no child of a caller, so that nobody has to wait for its end
        os._exit(0)
    descriptor, path, log_path, minutes, version = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir("/")  # no folder that somebody may want to remove
    listener = socket.socket(fileno=int(descriptor))
    asyncio.run(_run(listener, Path(path), Path(log_path), float(minutes), version))


if __name__ == "__main__":
    main(sys.argv[1:])
