"""The real worker with a given load plan, and the log that llama.cpp writes."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from qwen3_chat.engine import wire
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.worker_process import CommandFactory, WorkerProcess, error_from_message
from qwen3_chat.events import EngineEvent
from qwen3_chat.request import ChatRequest, LoadedModel, LoadSettings


class PlannedWorker:
    """A worker whose model is loaded, with the log so far."""

    def __init__(self, worker: WorkerProcess, model: LoadedModel, log_path: Path) -> None:
        self._worker = worker
        self.pid = worker.pid
        self.model = model
        self.log = log_path.read_text()

    async def reply(self, request: ChatRequest) -> list[EngineEvent]:
        """Generate a reply and return all its events."""
        events = await collect_worker_events(self._worker, partial(wire.Generate, request=request))
        return [event for event in events if not isinstance(event, LoadedModel)]


@asynccontextmanager
async def worker_with(path: Path, plan: LoadPlan, log_path: Path) -> AsyncIterator[PlannedWorker]:
    """Start a worker and load a model; end the worker with the block."""
    worker = await WorkerProcess.start(sys.executable, log_path)
    try:
        command = partial(wire.Load, settings=LoadSettings(str(path)), plan=plan)
        *_, model = await collect_worker_events(worker, command)
        assert isinstance(model, LoadedModel)
        yield PlannedWorker(worker, model, log_path)
    finally:
        await worker.end()


async def collect_worker_events(
    worker: WorkerProcess, command_of: CommandFactory
) -> list[EngineEvent | LoadedModel]:
    events: list[EngineEvent | LoadedModel] = []
    match await worker.request(command_of, events.append):
        case wire.Loaded(_, model):
            events.append(model)
        case wire.EventEmitted():
            pass
        case message:
            raise error_from_message(message)
    return events
