"""The interface's view of the process that talks to MCP servers: started when it is needed, and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Final

import msgspec

from qwen3_chat.child_process import ChildProcess, LineTooLong
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import McpError
from qwen3_chat.mcp.forms import FormAnswer, FormRequested
from qwen3_chat.mcp.server_messages import (
    AnswerForm,
    AnyCommand,
    AnyMessage,
    CallProgressed,
    CancelCall,
    Connected,
    Disconnected,
    FormWithdrawn,
    News,
    ServerCommandFailed,
    ServerEnded,
    TextReturned,
    TextsListed,
    ToolReturned,
    ToolsChanged,
    decode_server_message,
    encode_message,
)

SERVERS_END_LIMIT_S: Final = 1.0
"""The time that the process has to end all servers, in seconds."""

_MODULE: Final = "qwen3_chat.mcp.server_process"

ProgressSink = Callable[[CallProgressed], None]
"""A function that takes how far a call has come."""


class McpProcess:
    """The process, which is started with the first command and after it has ended.

    `on_news` gets what servers report by themselves, and None when the process has ended with all of them.
    """

    def __init__(
        self,
        log_path: Path | None = None,
        on_news: Callable[[News | None], None] = lambda news: None,
    ) -> None:
        self._log_path = log_path
        self._on_news = on_news
        self._ids = count(1)
        self._pending: dict[int, asyncio.Future[AnyMessage]] = {}
        self._progress: dict[int, ProgressSink] = {}
        self._child: ChildProcess | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The id of the process; None while there is none."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Start the process unless it runs.

        Raises:
            McpError: the system could not start it.
        """
        await self._running()

    async def request(
        self, make_command: Callable[[int], AnyCommand], on_progress: ProgressSink = lambda progress: None
    ) -> Connected | ToolReturned | TextReturned | Disconnected:
        """Send a command and return its answer; if the caller is cancelled, so is the command.

        Raises:
            McpError: the command failed, or the process ended.
        """
        child = await self._running()
        call_id = next(self._ids)
        answer: asyncio.Future[AnyMessage] = asyncio.get_running_loop().create_future()
        self._pending[call_id], self._progress[call_id] = answer, on_progress
        try:
            child.write(encode_message(make_command(call_id)))
            message = await answer
        except asyncio.CancelledError:
            child.write(encode_message(CancelCall(call_id)))
            raise
        finally:
            del self._pending[call_id], self._progress[call_id]
        match message:
            case ServerCommandFailed():
                raise message.to_error()
            case Connected() | ToolReturned() | TextReturned() | Disconnected():
                return message
            case _:
                raise McpError(ErrorCode.MCP_PROCESS_ENDED, status="?")

    def answer_form(self, form_id: int, answer: FormAnswer) -> None:
        """Pass on the user's answer to a form; nothing happens where the process has ended meanwhile."""
        if self._child is not None:
            self._child.write(encode_message(AnswerForm(form_id, answer)))

    async def close(self) -> None:
        """End the process and all servers."""
        async with self._starting:
            child, reading = self._child, self._reading
            if child is not None and reading is not None:
                await child.end(reading, SERVERS_END_LIMIT_S)

    async def _running(self) -> ChildProcess:
        async with self._starting:
            if self._child is None:
                try:
                    self._child = await ChildProcess.start(_MODULE, log_path=self._log_path)
                except OSError as error:
                    reason = error.strerror or error
                    raise McpError(ErrorCode.MCP_START_FAILED, name="MCP", reason=reason) from error
                self._reading = asyncio.create_task(self._read(self._child))
            return self._child

    async def _read(self, child: ChildProcess) -> None:
        try:
            while lines := await child.read_lines():
                for line in lines:
                    self._receive(decode_server_message(line))
        except (msgspec.MsgspecError, LineTooLong):
            child.kill()
        status = await child.wait()
        self._child = None
        error = McpError(ErrorCode.MCP_PROCESS_ENDED, status=status)
        for call_id, answer in self._pending.items():
            if not answer.done():
                answer.set_result(ServerCommandFailed.from_error(call_id, error))
        self._on_news(None)
        await child.close_input()

    def _receive(self, message: AnyMessage) -> None:
        match message:
            case ToolsChanged() | TextsListed() | ServerEnded() | FormRequested() | FormWithdrawn():
                self._on_news(message)
            case CallProgressed(call_id=call_id):
                if sink := self._progress.get(call_id):
                    sink(message)
            case _:
                answer = self._pending.get(message.call_id)
                if answer is not None and not answer.done():
                    answer.set_result(message)
