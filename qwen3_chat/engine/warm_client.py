"""The way to a warm engine: found, started, talked to as to a worker of one's own, and ended."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from qwen3_chat.child_process import GRACE_S, MAX_LINE_BYTES, LineBuffer, LineTooLong, start_outliving
from qwen3_chat.engine import warm_messages
from qwen3_chat.engine.llama_build import CHOSEN_BUILD_VARIABLE
from qwen3_chat.engine.native_libraries import LIBRARY_FILE_NAME
from qwen3_chat.engine.warm_messages import (
    Attach,
    Attached,
    HolderAnswer,
    QueryStatus,
    Queued,
    Stop,
    WarmStatus,
)
from qwen3_chat.engine.warm_socket import WarmSocket, WarmSocketError, peer_user_id, user_id
from qwen3_chat.engine.worker_process import WorkerProcess
from qwen3_chat.events import Notice
from qwen3_chat.models.gguf_file_name import split_part_names
from qwen3_chat.request import LoadedModel, LoadSettings, PersistenceOptions

_MODULE = "qwen3_chat.engine.warm_holder"
PLATFORM = sys.platform
"""The system; only POSIX has sockets that tell the user at their other end."""
_READ_BYTES = 1 << 18
_KILLED_STATUS = -9
_MAX_CHOICES_BYTES = 1 << 20
END_TIMEOUT_S: Final = 10.0
"""The time limit for the end of a warm engine; another caller may still have its turn."""
STATUS_TIMEOUT_S: Final = 2.0
_MAX_ATTEMPTS = 3
"""The number of engines that are tried, if each ends before the turn with it has come."""

NoticeSink = Callable[[Notice], None]


class WarmUse(Enum):
    """The use that a command makes of warm engines."""

    START = auto()
    """Use the one that runs, else start one."""
    JOIN = auto()
    """Use the one that runs if it has the model."""
    END = auto()
    """End the one that runs, so that no model is in memory twice."""


class WarmConnection:
    """A connection to the holder of a warm engine, in the place of a child process."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._lines = LineBuffer(MAX_LINE_BYTES)
        self._early_lines: list[bytes] = []
        self.pid = 0

    @classmethod
    async def open(cls, path: Path) -> WarmConnection:
        """Connect to a socket.

        Raises:
            OSError: nobody listens there, or another user does.
        """
        reader, writer = await asyncio.open_unix_connection(path)
        if peer_user_id(writer.get_extra_info("socket")) != user_id():
            writer.transport.abort()
            raise PermissionError(f"{path} is another user's")
        return cls(reader, writer)

    async def next_answer(self) -> HolderAnswer | None:
        """Wait for the holder's next line; None where it has ended or makes no sense."""
        if not self._early_lines:
            with suppress(LineTooLong):
                self._early_lines = await self.read_lines()
        if not self._early_lines:
            return None
        try:
            return warm_messages.decode_answer(self._early_lines.pop(0))
        except msgspec.MsgspecError:
            return None

    def write(self, line: bytes) -> None:
        """Write a line without waiting until it is read."""
        if not self._writer.transport.is_closing():
            self._writer.write(line)

    async def read_lines(self) -> list[bytes]:
        """Wait for lines; an empty list at the end.

        Raises:
            LineTooLong: there are too many bytes without the end of a line.
        """
        if self._early_lines:
            lines, self._early_lines = self._early_lines, []
            return lines
        with suppress(OSError):
            while data := await self._reader.read(_READ_BYTES):
                if lines := self._lines.feed(data):
                    return lines
        return []

    async def wait(self) -> int:
        """Wait for the end of the connection; without a reason from the holder, that has been killed."""
        with suppress(OSError):
            while await self._reader.read(_READ_BYTES):
                pass
        return _KILLED_STATUS

    async def close_input(self) -> None:
        """Close the connection."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    def kill(self) -> None:
        """Leave at once: the holder stops, or kills, what is still under way."""
        self._writer.transport.abort()

    async def end(self, reading: asyncio.Task[Any]) -> None:
        """End the warm engine."""
        self.write(warm_messages.encode_greeting(Stop()))
        await asyncio.wait([reading], timeout=END_TIMEOUT_S)
        self.kill()
        await reading

    async def release(self, reading: asyncio.Task[Any]) -> None:
        """Leave the warm engine to those who ask next."""
        if self._writer.can_write_eof() and not self._writer.transport.is_closing():
            self._writer.write_eof()
        await asyncio.wait([reading], timeout=GRACE_S)
        self.kill()
        await reading


class WarmWorker(Struct, frozen=True):
    """A worker that a holder keeps, with the model that it has if that is the right one."""

    worker: WorkerProcess
    model: LoadedModel | None


class WarmEngine:
    """The warm engine of this home, as one command uses it."""

    def __init__(self, location: WarmSocket, use: WarmUse, minutes: float | None = None) -> None:
        self._location = location
        self._use = use
        self._minutes = minutes
        self._starting: asyncio.subprocess.Process | None = None
        """The process that has started the holder, and ends then."""

    @property
    def keeps_model(self) -> bool:
        """True if the model stays loaded for the next question."""
        return self._use is WarmUse.START

    async def open(
        self, key: str, log_path: Path, python: str, environment: Mapping[str, str] | None, report: NoticeSink
    ) -> WarmWorker | None:
        """Return the worker for a key once its turn has come; None if the command needs one of its own."""
        if PLATFORM == "win32":
            if self._use is WarmUse.START:
                report(Notice("engine.warm_windows"))
            return None
        try:
            return await self._open(key, log_path, python, environment, report)
        except (OSError, WarmSocketError) as error:
            if self._use is WarmUse.START:
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                report(Notice("engine.warm_impossible", {"reason": reason}))
            return None

    async def _open(
        self, key: str, log_path: Path, python: str, environment: Mapping[str, str] | None, report: NoticeSink
    ) -> WarmWorker | None:
        if self._use is not WarmUse.START and not self._location.paths():
            return None
        self._location.require_private_folder(make=self._use is WarmUse.START)
        if self._use is WarmUse.END:
            await stop_warm_engines(self._location)
            return None
        for _ in range(_MAX_ATTEMPTS):
            connection = await self._connect(report)
            if connection is None and self._use is WarmUse.JOIN:
                return None
            if connection is None:
                connection = await self._start(log_path, python, environment, report)
            attached = await self._attach(connection, key, report)
            if self._starting is not None:
                await self._starting.wait()
                self._starting = None
            if attached is None:
                connection.kill()
                continue
            connection.pid = attached.pid
            if attached.has_other_model:
                if self._use is WarmUse.START:
                    worker = WorkerProcess(connection)
                    await worker.end()
                    continue
                connection.kill()
                return None
            return WarmWorker(WorkerProcess(connection), attached.model)
        return None

    async def _connect(self, report: NoticeSink) -> WarmConnection | None:
        """Connect to the engine that runs; None without one."""
        try:
            return await WarmConnection.open(self._location.path)
        except FileNotFoundError:
            return None
        except ConnectionError:  # its holder was killed, or its worker has died
            with self._location.locked():
                if not _is_listening(self._location.path):
                    self._location.path.unlink(missing_ok=True)
                    report(Notice("engine.warm_lost"))
            return None

    async def _start(
        self, log_path: Path, python: str, environment: Mapping[str, str] | None, report: NoticeSink
    ) -> WarmConnection:
        """Start a holder, unless another command has just done so, and connect to it.

        Raises:
            OSError: the system can't do that.
        """
        minutes = self._minutes or 0.0
        with self._location.locked():
            if not _is_listening(self._location.path):
                with self._location.listen() as listener:
                    self._starting = await start_outliving(
                        _MODULE,
                        *(str(listener.fileno()), str(self._location.path), str(log_path), f"{minutes:g}"),
                        self._location.version,
                        log_path=log_path,
                        python=python,
                        environment=environment,
                        descriptors=(listener.fileno(),),
                    )
                report(Notice("engine.warm_started", {"minutes": f"{minutes:g}"}))
            return await WarmConnection.open(self._location.path)

    async def _attach(self, connection: WarmConnection, key: str, report: NoticeSink) -> Attached | None:
        """Wait for the turn; None if the engine ends before."""
        takes_any = self._use is WarmUse.START
        connection.write(warm_messages.encode_greeting(Attach(key, self._minutes, takes_any)))
        try:
            while answer := await connection.next_answer():
                match answer:
                    case Queued(n_before):
                        report(Notice("engine.warm_queued", {"count": n_before}))
                    case Attached():
                        return answer
                    case WarmStatus():
                        return None
        except asyncio.CancelledError:
            connection.kill()
            raise
        return None


def load_key(
    settings: LoadSettings, persistence: PersistenceOptions | None, environment: Mapping[str, str] | None
) -> str:
    """Return what stands for a model with everything it is loaded with: files, settings, build, library."""
    path = Path(settings.path)
    files = [path.with_name(name) for name in split_part_names(path.name) or (path.name,)]
    files += [Path(adapter.path) for adapter in settings.adapters]
    files += [Path(settings.draft)] if settings.draft else []
    facts: list[object] = [settings, persistence]
    for file in files:
        try:
            found = file.stat()
            facts.append((file.name, found.st_size, found.st_mtime_ns, found.st_ino))
        except OSError:
            facts.append((file.name, 0, 0, 0))
    facts.append((os.environ if environment is None else environment).get(CHOSEN_BUILD_VARIABLE, ""))
    import hashlib

    digest = hashlib.sha256(msgspec.json.encode(facts))
    if persistence is not None:
        with suppress(OSError), (Path(persistence.folder) / LIBRARY_FILE_NAME).open("rb") as choices:
            digest.update(choices.read(_MAX_CHOICES_BYTES))
    return digest.hexdigest()


async def list_warm_engines(location: WarmSocket) -> list[WarmStatus]:
    """Return the state of this home's warm engines that answer."""
    engines = []
    for path in location.paths():
        with suppress(OSError, TimeoutError):
            connection = await WarmConnection.open(path)
            connection.write(warm_messages.encode_greeting(QueryStatus()))
            try:
                async with asyncio.timeout(STATUS_TIMEOUT_S):
                    if isinstance(answer := await connection.next_answer(), WarmStatus):
                        engines.append(answer)
            finally:
                connection.kill()
    return engines


async def stop_warm_engines(location: WarmSocket) -> int:
    """End this home's warm engines, each when the caller that has its turn is done; return their number."""
    n_stopped = 0
    for path in location.paths():
        try:
            connection = await WarmConnection.open(path)
        except OSError:
            continue
        n_stopped += 1
        connection.write(warm_messages.encode_greeting(Stop()))
        with suppress(TimeoutError):
            async with asyncio.timeout(END_TIMEOUT_S):
                await connection.wait()
        connection.kill()
    return n_stopped


def _is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
    return True
