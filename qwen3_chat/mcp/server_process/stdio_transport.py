"""The transport to a server that is a process: its lines, with limits, and its end within a second."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter
from mcp.types.jsonrpc import JSONRPCMessage

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import McpError
from qwen3_chat.mcp import launcher
from qwen3_chat.mcp.server_messages import CommandLaunch
from qwen3_chat.mcp.server_process.server_log import ServerLog
from qwen3_chat.parent_death import bind_child

MAX_MESSAGE_BYTES: Final = 16 << 20
"""The longest line of a server, in bytes; a longer one ends it."""

MAX_JUNK_BYTES: Final = 64 << 20
"""The most bytes of a server that are no message; more end it."""

SERVER_GRACE_S: Final = 0.4
"""The time that a server has to end by itself once its stdin is closed, in seconds."""

KILL_LIMIT_S: Final = 1.5
"""The time after which a server that can't be ended is left alone, in seconds."""

_READ_BYTES: Final = 1 << 18


class ServerProcess:
    """The process of one server; `end_error` says why it is no longer there."""

    def __init__(self, name: str, launch: CommandLaunch, log: ServerLog) -> None:
        self._name = name
        self._launch = launch
        self._log = log
        self.end_error: McpError | None = None
        self._is_closing = False

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[TransportStreams]:
        """Start the server; yield the streams of its messages; end it with all of its processes.

        Raises:
            McpError: the system can't start it.
        """
        process = await self._start()
        incoming, read_stream = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        write_stream, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
        tasks = [
            asyncio.create_task(self._read(process, incoming)),
            asyncio.create_task(self._write(process, outgoing)),
            asyncio.create_task(self._log.copy(process.stderr)),
        ]
        try:
            yield read_stream, write_stream
        finally:
            self._is_closing = True
            await _finish(_end(process, tasks))
            for stream in (incoming, read_stream, write_stream, outgoing):
                stream.close()

    async def _start(self) -> asyncio.subprocess.Process:
        launch, options = self._launch, dict[str, Any]()
        command = [launch.command, *launch.arguments]
        if sys.platform == "win32":
            options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP
        else:
            command = [sys.executable, "-I", "-S", str(Path(launcher.__file__)), str(os.getpid()), *command]
            options["start_new_session"] = True
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=launch.environment,
                cwd=launch.folder or None,
                **options,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise McpError(ErrorCode.MCP_START_FAILED, name=self._name, reason=reason) from error
        bind_child(process.pid)
        return process

    async def _read(self, process: asyncio.subprocess.Process, incoming: Any) -> None:
        """Pass on the messages of the server; what is no message is dropped."""
        assert process.stdout is not None
        pieces, n_bytes, junk_bytes = list[bytes](), 0, 0
        try:
            while data := await process.stdout.read(_READ_BYTES):
                *lines, rest = data.split(b"\n")
                for line in lines:
                    whole = b"".join((*pieces, line))
                    pieces, n_bytes = [], 0
                    message = parse_message(whole)
                    if message is not None:
                        await incoming.send(SessionMessage(message))
                    else:
                        junk_bytes += len(whole) + 1
                if rest:
                    pieces.append(rest)
                    n_bytes += len(rest)
                if n_bytes > MAX_MESSAGE_BYTES or junk_bytes > MAX_JUNK_BYTES:
                    limit = MAX_MESSAGE_BYTES if n_bytes > MAX_MESSAGE_BYTES else MAX_JUNK_BYTES
                    self.end_error = McpError(ErrorCode.MCP_SERVER_FLOODS, name=self._name, limit=limit >> 20)
                    _terminate(process)
                    return
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            return  # nobody listens any longer
        finally:
            if self.end_error is None and not self._is_closing:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SERVER_GRACE_S):
                        await self._log.wait()
                        await process.wait()
                self.end_error = self._describe_end(process.returncode)
            incoming.close()

    def _describe_end(self, status: int | None) -> McpError:
        last = self._log.last_line
        values: dict[str, object] = {"name": self._name, "status": "?" if status is None else status}
        if last:
            return McpError(ErrorCode.MCP_SERVER_ENDED_SAYING, **values, last=last)
        return McpError(ErrorCode.MCP_SERVER_ENDED, **values)

    async def _write(self, process: asyncio.subprocess.Process, outgoing: Any) -> None:
        assert process.stdin is not None
        with contextlib.suppress(OSError, anyio.ClosedResourceError, anyio.EndOfStream):
            async for message in outgoing:
                line = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                process.stdin.write(line.encode(errors="replace") + b"\n")
                await process.stdin.drain()


def parse_message(line: bytes) -> JSONRPCMessage | None:
    """Return the message of a line; None where it is none. Bytes that are no UTF-8 become U+FFFD."""
    if not line.strip():
        return None
    for text in (line, None):
        try:
            return jsonrpc_message_adapter.validate_json(
                line.decode(errors="replace") if text is None else text, by_name=False
            )
        except ValueError:
            continue
    return None


async def _end(process: asyncio.subprocess.Process, tasks: list[asyncio.Task[None]]) -> None:
    """Close the server's stdin, then end what still runs after the time of grace."""
    reading, writing, _ = tasks
    writing.cancel()
    await asyncio.wait([writing])
    assert process.stdin is not None
    process.stdin.close()
    draining = asyncio.create_task(_drain(process, reading))
    await asyncio.wait([asyncio.create_task(process.wait()), draining], timeout=SERVER_GRACE_S)
    _terminate(process)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(KILL_LIMIT_S):
            await process.wait()
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    for task in (*tasks, draining):
        task.cancel()
    await asyncio.wait([*tasks, draining])
    transport = getattr(process, "_transport", None)  # else it is closed by a destructor, with a warning
    if transport is not None:
        transport.close()


async def _drain(process: asyncio.subprocess.Process, reading: asyncio.Task[None]) -> None:
    """Read on until the output ends: a server that writes can't end, and asyncio tells no end before that."""
    reading.cancel()
    await asyncio.wait([reading])
    assert process.stdout is not None
    while await process.stdout.read(_READ_BYTES):
        pass


def _terminate(process: asyncio.subprocess.Process) -> None:
    """End the server and all of its processes; the launcher does that, where there is one."""
    with contextlib.suppress(ProcessLookupError):
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)


async def _finish(work: Any) -> None:
    """Do a work to its end, also when the task is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    task.result()
