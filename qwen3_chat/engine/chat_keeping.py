"""What the engine's process is told about chats that are left or deleted."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from qwen3_chat.engine import wire
from qwen3_chat.engine.process import WorkerProcess
from qwen3_chat.engine.snapshot_cabinet import SnapshotCabinet
from qwen3_chat.errors import EngineError
from qwen3_chat.request import Keeping

_BEGIN_S, _END_S = 2.0, 60.0


class ChatKeeping:
    """Keeps what was evaluated of chats; without `keeping`, nothing."""

    def __init__(self, keeping: Keeping | None) -> None:
        self.keeping = keeping

    def leave(self, worker: WorkerProcess) -> None:
        """Have the chat kept while the process goes on."""
        if self.keeping:
            with worker.open_call() as call:
                worker.send(wire.KeepChat(call.call_id))

    async def end(self, worker: WorkerProcess) -> None:
        """Wait until the chat is kept; a process that doesn't begin with it at once has something worse."""
        if not self.keeping:
            return
        with suppress(EngineError, TimeoutError), worker.open_call() as call:
            worker.send(wire.KeepChat(call.call_id))
            async with asyncio.timeout(_BEGIN_S):
                reply = await call.next_reply()
            if isinstance(reply, wire.KeepingChat):
                async with asyncio.timeout(_END_S):
                    await call.next_reply()

    def forget(self, chat_id: int, worker: WorkerProcess | None) -> None:
        """Drop what is kept of a chat, also what is being written now."""
        if self.keeping:
            SnapshotCabinet.of(self.keeping).remove(chat_id)
        if worker:
            with worker.open_call() as call:
                worker.send(wire.ForgetChat(call.call_id, chat_id))
