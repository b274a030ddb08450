"""The process of the app that is shown in a browser, and the packets between it and the server.

A packet is a letter, four bytes with the size, and the payload: `D` for what a terminal gets, `M` for JSON,
as Textual's `WebDriver` and textual-serve write them.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from qwen3_chat.child_process import child_environment, own_process_group
from qwen3_chat.parent_death import bind_child, parent_variables

MAX_PACKET_BYTES: Final = 64 * 1024**2
MAX_ERROR_BYTES: Final = 4096
"""The most that is kept of the process's stderr, its end: the last line says why it ended."""
START_LINE: Final = b"__GANGLION__\n"
"""The line that Textual's driver writes before the first packet."""
LEAVE_TIMEOUT_S: Final = 20.0
KILL_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class AppEnd:
    """The end of the process: its exit status, and what it wrote to stderr last."""

    status: int
    errors: str


class AppProcess:
    """A running app; what it writes goes to `on_output`, its JSON to `on_meta`, neither of which may wait."""

    def __init__(
        self, process: Process, on_output: Callable[[bytes], None], on_meta: Callable[[dict[str, Any]], None]
    ) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        self._on_output = on_output
        self._on_meta = on_meta
        self._errors = b""

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        environment: Mapping[str, str],
        size: tuple[int, int],
        on_output: Callable[[bytes], None],
        on_meta: Callable[[dict[str, Any]], None],
    ) -> AppProcess:
        """Start an app for a page of this size in cells.

        Raises:
            OSError: the process could not be started.
        """
        columns, rows = size
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_environment(
                {
                    **environment,
                    **parent_variables(),
                    "COLUMNS": str(columns),
                    "ROWS": str(rows),
                    "TEXTUAL_COLOR_SYSTEM": "truecolor",
                    "TERM_PROGRAM": "textual",
                }
            ),
            **own_process_group(),  # Ctrl+C in the server's terminal is not meant for the app
        )
        bind_child(process.pid)
        return cls(process, on_output, on_meta)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    async def run(self) -> AppEnd:
        """Pass on what the app writes until it ends; return how it did."""
        errors = asyncio.create_task(self._read_errors())
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, ValueError):
                await self._read_packets()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), LEAVE_TIMEOUT_S)
            self.kill()
            status = await self._process.wait()
            # A process that the app left behind may hold its stderr.
            await asyncio.wait([errors], timeout=KILL_TIMEOUT_S)
        finally:
            self.kill()
            errors.cancel()
        return AppEnd(status, self._errors.decode(errors="replace").strip())

    async def _read_packets(self) -> None:
        """Read packets up to the end of the output.

        Raises:
            IncompleteReadError: the output ended.
            ValueError: the output is not that of an app.
        """
        if await self._stdout.readline() != START_LINE:
            raise ValueError("no packet")
        while True:
            header = await self._stdout.readexactly(5)
            size = int.from_bytes(header[1:], "big")
            if size > MAX_PACKET_BYTES:
                raise ValueError("the packet is too large")
            payload = await self._stdout.readexactly(size)
            match header[:1]:
                case b"D":
                    self._on_output(payload)
                case b"M":
                    self._on_meta(json.loads(payload))

    async def _read_errors(self) -> None:
        while data := await self._stderr.read(MAX_ERROR_BYTES):
            self._errors = (self._errors + data)[-MAX_ERROR_BYTES:]

    async def type(self, text: str) -> None:
        """Send what was typed; wait while the app has not read what was typed before."""
        await self._send(b"D", text.encode(errors="replace"))

    async def send_meta(self, **values: object) -> None:
        """Send JSON."""
        await self._send(b"M", json.dumps(values).encode())

    async def _send(self, kind: bytes, payload: bytes) -> None:
        with suppress(ConnectionError, RuntimeError):  # it has ended, which `run` tells
            self._stdin.write(kind + len(payload).to_bytes(4, "big") + payload)
            await self._stdin.drain()

    async def leave(self, running: asyncio.Task[AppEnd]) -> None:
        """Have the app store everything and end; `running` is the task of `run`, after which it is over."""
        await self.send_meta(type="quit")
        with suppress(ConnectionError, RuntimeError):
            self._stdin.close()
        await asyncio.wait([running], timeout=LEAVE_TIMEOUT_S)
        if not running.done():
            self.kill()
            await asyncio.wait([running], timeout=KILL_TIMEOUT_S)

    def kill(self) -> None:
        """End the process at once, if it still runs."""
        with suppress(ProcessLookupError):
            self._process.kill()
