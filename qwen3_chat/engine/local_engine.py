"""The engine on this machine: llama.cpp in a process of its own, with its snapshots and its calibration."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil

from qwen3_chat.chat import StopReason, Timings, Usage
from qwen3_chat.engine import wire
from qwen3_chat.engine.kv_snapshot_store import KVSnapshotStore
from qwen3_chat.engine.load_plan import SPARE_MEMORY_BYTES
from qwen3_chat.engine.load_planner import LoadPlanner, MachineProbe, larger_n_ctx, max_n_ctx_from_header
from qwen3_chat.engine.worker_process import (
    Operation,
    WorkerProcess,
    error_from_message,
    fetch_devices,
    send_request,
    stream_events,
)
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import Cancelled, EngineError
from qwen3_chat.events import (
    AnswerDelta,
    EngineEvent,
    EngineFailed,
    LoadProgressed,
    Notice,
    ReasoningDelta,
    TurnFinished,
)
from qwen3_chat.models import gguf
from qwen3_chat.request import (
    Capabilities,
    ChatRequest,
    LoadedModel,
    LoadSettings,
    PersistenceOptions,
    TokenCounts,
)

_SAVE_START_S, _SAVE_S = 2.0, 60.0
"""The longest waits for a snapshot: until its writing begins, until it is saved."""


class SnapshotClient:
    """The client of the worker's snapshots of chats; without `options`, it saves nothing."""

    def __init__(self, options: PersistenceOptions | None) -> None:
        self.options = options

    def save(self, worker: WorkerProcess) -> None:
        """Request a snapshot of the chat without waiting for it."""
        if self.options:
            with worker.open_request() as request:
                worker.send(wire.SaveSnapshot(request.call_id))

    async def save_and_wait(self, worker: WorkerProcess) -> None:
        """Save a snapshot and wait for it; give up if the process does not begin within 2 s: it may hang."""
        if not self.options:
            return
        with suppress(EngineError, TimeoutError), worker.open_request() as request:
            worker.send(wire.SaveSnapshot(request.call_id))
            async with asyncio.timeout(_SAVE_START_S):
                message = await request.next_message()
            if isinstance(message, wire.SavingSnapshot):
                async with asyncio.timeout(_SAVE_S):
                    await request.next_message()

    def remove(self, chat_id: int, worker: WorkerProcess | None) -> None:
        """Remove the snapshot of a chat, even one that is being written now."""
        if self.options:
            KVSnapshotStore.from_options(self.options).remove(chat_id)
        if worker:
            with worker.open_request() as request:
                worker.send(wire.RemoveSnapshot(request.call_id, chat_id))


class LocalEngine:
    """The engine of one model; its process starts with the first load, and again whenever it has died.

    `probe_machine` describes the machine when the model is loaded; without it, the model runs on the CPU.
    """

    def __init__(
        self,
        settings: LoadSettings,
        log_path: Path,
        python: str = sys.executable,
        persistence: PersistenceOptions | None = None,
        probe_machine: MachineProbe | None = None,
    ) -> None:
        self._settings = settings
        self._probe_machine = probe_machine
        self._planner = LoadPlanner(settings, probe_machine)
        self._has_generated = False
        """True once the running process has generated a token."""
        self._log_path = log_path
        self._python = python
        self._snapshots = SnapshotClient(persistence)
        self._worker: WorkerProcess | None = None
        self._model: LoadedModel | None = None
        self._start_lock = asyncio.Lock()
        self._load_lock = asyncio.Lock()
        self._turn: Operation | None = None
        """The reply in progress, the load before it included."""
        self._operations: set[Operation] = set()
        """The loads and the reply in progress."""
        self.on_notice: Callable[[Notice], None] = lambda notice: None
        """The handler of notices between turns."""

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of this engine."""
        return Capabilities(
            soft_switch=True,
            hard_switch=True,
            thinking_budget=True,
            ends_thinking=True,
            tools=True,
            exact_counts=True,
            continues_prefix=True,
        )

    @property
    def model(self) -> LoadedModel | None:
        """The model in use; None before `load` is done and after the engine died."""
        return self._model if self._running_worker() else None

    @property
    def pid(self) -> int | None:
        """The id of the engine's process; None while there is none."""
        worker = self._running_worker()
        return worker.pid if worker else None

    async def load(self) -> AsyncGenerator[EngineEvent, None]:
        """Load the model and yield the progress; end with `EngineFailed` after an error or `cancel`."""
        with Operation(self._operations) as operation:
            try:
                async with aclosing(self._load(operation)) as events:
                    async for event in events:
                        yield event
            except EngineError as error:
                yield EngineFailed.from_error(error)

    async def count_tokens(self, request: ChatRequest) -> TokenCounts:
        """Count the tokens of a request, even while a reply is generated; load the model first if needed.

        Raises:
            EngineError: the model can't be loaded, or the request can't be rendered.
        """
        async with aclosing(self.load()) as events:
            async for event in events:
                if isinstance(event, EngineFailed):
                    raise event.to_error()
        message = await send_request(await self.ensure_worker(), partial(wire.CountTokens, request=request))
        if not isinstance(message, wire.TokensCounted):
            raise error_from_message(message)
        return message.counts

    async def larger_n_ctx(self, tokens: int) -> int | None:
        """Return the size of a larger context for that many tokens.

        It is None if the tokens fit already, or if the model or the memory is too small.
        """
        model = self.model
        if model is None or tokens <= model.n_ctx:
            return None
        header = await asyncio.to_thread(gguf.read_file, Path(model.path))
        free_bytes = psutil.virtual_memory().available
        if model.n_gpu_layers:
            gpus = [device for device in await self.devices() if device.kind is not wire.DeviceKind.CPU]
            free_bytes = sum(device.free_bytes for device in gpus)
        return larger_n_ctx(
            tokens,
            model.n_ctx,
            max_n_ctx_from_header(header),
            header.kv_bytes_per_token,
            free_bytes - SPARE_MEMORY_BYTES,
        )

    async def enlarge(self, n_ctx: int) -> AsyncGenerator[EngineEvent, None]:
        """Load the model again with that context; after a failure, go back to the old one with a notice."""
        before = self._settings
        for settings in (replace(before, n_ctx=n_ctx), before):
            await self.close()
            self._settings = settings
            async with aclosing(self.load()) as events:
                async for event in events:
                    if not isinstance(event, EngineFailed):
                        yield event
                    elif settings is before or event.code is ErrorCode.LOAD_CANCELLED:
                        self._settings = before
                        yield event
                        return
            if self.model is not None:
                return
            yield Notice("engine.not_enlarged", {"n_ctx": n_ctx})

    async def devices(self) -> tuple[wire.Device, ...]:
        """Return the devices that llama.cpp can compute on, with their free memory.

        Raises:
            EngineError: the process can't be started or could not list them.
        """
        return await fetch_devices(await self.ensure_worker())

    async def wait_idle(self) -> None:
        """Wait until the worker is idle: after a reply, it evaluates the beginning of the next prompt."""
        if worker := self._running_worker():
            message = await send_request(worker, wire.WaitIdle)
            if not isinstance(message, wire.Idle):
                raise error_from_message(message)

    async def generate(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Generate a reply, after loading the model if needed.

        The last event is `TurnFinished` or `EngineFailed`. Closing the generator early cancels the reply.

        Raises:
            EngineError: another reply is being generated.
        """
        if self._turn:
            raise EngineError(ErrorCode.ENGINE_BUSY)
        with Operation(self._operations) as operation:
            self._turn = operation
            try:
                async with aclosing(self._reply(operation, request)) as events:
                    async for event in events:
                        yield event
            except Cancelled:
                yield TurnFinished(StopReason.CANCELLED, request.mode, Usage(), Timings(), request.seed)
            except EngineError as error:
                yield EngineFailed.from_error(error)
            finally:
                self._turn = None

    async def calibrate(self) -> AsyncGenerator[wire.TrialFinished | wire.Calibrated, None]:
        """Measure the fastest settings of the loaded model, to be used from the next load on.

        The last message is the result. Closing the generator early cancels the measurement.

        Raises:
            EngineError: llama.cpp could not measure them.
        """
        worker = await self.ensure_worker()
        with worker.open_request() as request:
            worker.send(wire.Calibrate(request.call_id))
            is_over = False
            try:
                while not is_over:
                    message = await request.next_message()
                    is_over = not isinstance(message, wire.TrialFinished)
                    if not isinstance(message, wire.TrialFinished | wire.Calibrated):
                        raise error_from_message(message)
                    yield message
            finally:
                if not is_over:
                    worker.send(wire.Cancel(request.call_id))

    async def end_thinking(self) -> None:
        """Make the running reply stop thinking and answer now."""
        if self._turn:
            self._turn.end_thinking()

    async def ensure_worker(self) -> WorkerProcess:
        """Return the process, after starting it if none is running.

        Raises:
            EngineError: the process can't be started.
        """
        async with self._start_lock:
            worker = self._running_worker()
            if worker is None:
                self._model = None
                worker = self._worker = await WorkerProcess.start(self._python, self._log_path)
                worker.on_notice = lambda notice: self.on_notice(notice)
            return worker

    async def cancel(self) -> None:
        """Stop the running reply or load; received events stay valid."""
        for operation in self._operations:
            operation.cancel()

    def leave_chat(self) -> None:
        """Request a snapshot of the evaluated chat, if evaluating it took long."""
        if worker := self._running_worker():
            self._snapshots.save(worker)

    def remove_snapshot(self, chat_id: int) -> None:
        """Remove the snapshot of a deleted chat."""
        self._snapshots.remove(chat_id, self._running_worker())

    async def close(self) -> None:
        """End the process after it has saved the chat; a process that hangs is killed after a few seconds."""
        await self.cancel()
        if worker := await self._detach_worker():
            await self._snapshots.save_and_wait(worker)
            await worker.end()

    def _running_worker(self) -> WorkerProcess | None:
        return self._worker if self._worker and not self._worker.exit_error else None

    async def _detach_worker(self) -> WorkerProcess | None:
        """Forget the process and its model, and return the process."""
        async with self._start_lock:
            worker, self._worker, self._model = self._worker, None, None
        return worker

    async def _reply(self, operation: Operation, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Load the model if needed, then generate; if memory runs out before a token, use a smaller plan.

        Raises:
            EngineError: the reply failed; `Cancelled` if the load was stopped.
        """
        command = partial(wire.Generate, request=request)
        is_over = False
        while not is_over:
            async with aclosing(self._load(operation)) as load_events:
                async for load_event in load_events:
                    yield load_event
            try:
                worker = await self.ensure_worker()
                async with aclosing(stream_events(worker, operation, command)) as events:
                    async for event in events:
                        self._has_generated |= isinstance(event, ReasoningDelta | AnswerDelta)
                        if not isinstance(event, LoadedModel):
                            yield event
                is_over = True
            except EngineError as error:
                if self._has_generated:
                    raise
                yield await self._fall_back(error)

    async def _load(self, operation: Operation) -> AsyncGenerator[EngineEvent, None]:
        """Load the model if it is not loaded; if memory runs out, use a smaller plan.

        Raises:
            EngineError: the load failed; `Cancelled` if it was stopped.
        """
        async with self._load_lock:
            if self._planner.settings is not self._settings:
                self._planner = LoadPlanner(self._settings, self._probe_machine)
            while self.model is None:
                if operation.is_cancelled:
                    raise Cancelled(ErrorCode.LOAD_CANCELLED)
                yield LoadProgressed(0)  # there is something to show while the process starts
                plan, notices = await self._planner.plan(self.devices)
                for notice in notices:
                    yield notice
                self._has_generated = False
                command = partial(
                    wire.Load, settings=self._settings, plan=plan, persistence=self._snapshots.options
                )
                try:
                    worker = await self.ensure_worker()
                    async with aclosing(stream_events(worker, operation, command)) as events:
                        async for event in events:
                            if isinstance(event, LoadedModel):
                                self._model = event
                            else:
                                yield event
                except EngineError as error:
                    yield await self._fall_back(error)

    async def _fall_back(self, error: EngineError) -> Notice:
        """Change to a smaller plan, end the process (its memory can't be trusted), and return a notice of it.

        Raises:
            EngineError: the given error, if no smaller plan is left.
        """
        notice = self._planner.fall_back(error)
        if notice is None:
            raise error
        if worker := await self._detach_worker():
            await worker.end()
        return notice
