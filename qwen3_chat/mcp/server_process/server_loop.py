"""The loop that carries out commands, each in a task of its own."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from math import isfinite
from typing import Final

import msgspec

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import McpError
from qwen3_chat.mcp.server_messages import (
    AnswerForm,
    AnyCommand,
    AnyMessage,
    CallProgressed,
    CallTool,
    CancelCall,
    Connect,
    Connected,
    Disconnect,
    Disconnected,
    GetPrompt,
    ReadResource,
    ServerCommandFailed,
    ServerEnded,
    ServerPrompt,
    ServerResource,
    ServerTool,
    TextReturned,
    TextsListed,
    ToolReturned,
    ToolsChanged,
    decode_server_command,
    encode_message,
)
from qwen3_chat.mcp.server_process.connection import Connection
from qwen3_chat.mcp.server_process.elicitation import Forms

MAX_COMMAND_BYTES: Final = 1 << 26

PROGRESS_PAUSE_S: Final = 0.1
"""The shortest time between two reports of how far a call has come, in seconds."""


class ServerLoop:
    """The loop over the commands of the interface; it ends with their end, and with it all servers."""

    def __init__(self, commands_fd: int, messages_fd: int) -> None:
        self._commands_fd = commands_fd
        self._messages_fd = messages_fd
        self._connections: dict[str, Connection] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._forms = Forms(self._send)

    async def run(self) -> None:
        """Carry out commands until there are no more."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: None)  # stderr belongs to nobody
        reader = asyncio.StreamReader(limit=MAX_COMMAND_BYTES)
        with os.fdopen(self._commands_fd, "rb", closefd=False) as pipe:
            await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
            while line := await reader.readline():
                try:
                    self._start(decode_server_command(line))
                except msgspec.MsgspecError:
                    break  # the interface is another version: nothing of it can be trusted
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*(connection.close() for connection in self._connections.values()))

    def _start(self, command: AnyCommand) -> None:
        if isinstance(command, CancelCall):
            if task := self._tasks.get(command.call_id):
                task.cancel()
            return
        if isinstance(command, AnswerForm):
            self._forms.answer(command)
            return
        task = asyncio.create_task(self._carry_out(command))
        self._tasks[command.call_id] = task
        task.add_done_callback(lambda done: self._tasks.pop(command.call_id, None))

    async def _carry_out(self, command: AnyCommand) -> None:
        try:
            match command:
                case Connect():
                    message: AnyMessage = await self._connect(command)
                case CallTool():
                    message = await self._call(command)
                case GetPrompt(call_id=call_id, server=server, prompt=prompt, arguments=arguments):
                    text = await self._connected(server).get_prompt(prompt, arguments)
                    message = TextReturned(call_id, text)
                case ReadResource(call_id=call_id, server=server, uri=uri):
                    message = TextReturned(call_id, await self._connected(server).read_resource(uri))
                case Disconnect(call_id=call_id, server=server):
                    if connection := self._connections.pop(server, None):
                        await connection.close()
                    message = Disconnected(call_id)
                case _:
                    return
        except McpError as error:
            message = ServerCommandFailed.from_error(command.call_id, error)
        self._send(message)

    async def _connect(self, command: Connect) -> Connected:
        name = command.server
        if known := self._connections.pop(name, None):
            await known.close()

        def on_tools(tools: tuple[ServerTool, ...]) -> None:
            self._send(ToolsChanged(name, tools))

        def on_texts(prompts: tuple[ServerPrompt, ...], resources: tuple[ServerResource, ...]) -> None:
            self._send(TextsListed(name, prompts, resources))

        def on_end(error: McpError) -> None:
            if self._connections.get(name) is connection:
                del self._connections[name]
            self._send(ServerEnded(name, error.code.text_key, error.plain_values))

        connection = self._connections[name] = Connection(
            command,
            on_tools,
            on_texts,
            on_end,
            partial(self._forms.ask, name),
            partial(self._forms.ask_to_sign_in, name),
        )
        try:
            tools = await connection.opened
        except BaseException:
            if self._connections.get(name) is connection:
                del self._connections[name]
            await connection.close()
            raise
        return Connected(command.call_id, connection.title, connection.protocol, tools)

    def _connected(self, server: str) -> Connection:
        if (connection := self._connections.get(server)) is None:
            raise McpError(ErrorCode.MCP_SERVER_ENDED, name=server, status="?")
        return connection

    async def _call(self, command: CallTool) -> ToolReturned:
        connection = self._connected(command.server)
        loop, last_s = asyncio.get_running_loop(), 0.0

        def on_progress(progress: float, total: float | None, message: str) -> None:
            nonlocal last_s
            if loop.time() - last_s >= PROGRESS_PAUSE_S and isfinite(progress):  # JSON has no NaN
                last_s = loop.time()
                known_total = total if total is not None and isfinite(total) else None
                self._send(CallProgressed(command.call_id, progress, known_total, message))

        returned = await connection.call(command.tool, command.arguments, on_progress)
        return ToolReturned(command.call_id, *returned)

    def _send(self, message: AnyMessage) -> None:
        """Write a message; the interface reads without waiting for anything, so that this ends soon."""
        data = memoryview(encode_message(message))
        try:
            while data:
                data = data[os.write(self._messages_fd, data) :]
        except OSError:
            return  # it has gone, and so will this process
