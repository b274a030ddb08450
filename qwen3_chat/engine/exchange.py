"""One command to the engine's process, with all that comes of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from qwen3_chat.engine import wire
from qwen3_chat.engine.process import WorkerProcess
from qwen3_chat.engine.running import Running
from qwen3_chat.errors import Cancelled, EngineDied, EngineError
from qwen3_chat.events import EngineEvent, TurnFinished
from qwen3_chat.request import LoadedModel

CommandOf = Callable[[int], wire.AnyCommand]
"""Makes the command of a call's id."""


async def ask(worker: WorkerProcess, command_of: CommandOf) -> wire.AnyReply:
    """Send a command that has one reply.

    Raises:
        EngineDied: the process ended before it came.
    """
    with worker.open_call() as call:
        worker.send(command_of(call.call_id))
        return await call.next_reply()


async def exchange(
    worker: WorkerProcess, running: Running, command_of: CommandOf
) -> AsyncGenerator[EngineEvent | LoadedModel, None]:
    """Send a command and walk over what happens until it is done; given up early, it is cancelled.

    Raises:
        EngineError: it could not be done; `Cancelled` where a load was stopped.
    """
    with worker.open_call() as call:
        worker.send(command_of(call.call_id))
        running.attach(worker, call)
        is_over = False
        try:
            while not is_over:
                match await call.next_reply():
                    case wire.Happened(_, event):
                        is_over = isinstance(event, TurnFinished)
                        yield event
                    case wire.Loaded(_, model):
                        is_over = True
                        yield model
                    case reply:
                        is_over = True
                        raise unexpected(reply)
        except EngineDied:
            is_over = True
            raise
        finally:
            if not is_over:
                running.cancel()
            running.detach()


def unexpected(reply: wire.AnyReply) -> EngineError:
    """Return the error that a reply stands for."""
    match reply:
        case wire.CommandFailed(_, "engine.load_cancelled"):
            return Cancelled("engine.load_cancelled")
        case wire.CommandFailed(_, key, values):
            return EngineError(key, **values)
        case _:
            return EngineError("engine.bug", error=type(reply).__name__)
