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
from qwen3_chat.engine.load_planner import LoadPlanner, MachineProbe, larger_n_ctx, max_n_ctx_from_header
from qwen3_chat.engine.worker_process import (
    Operation,
    WorkerProcess,
    error_from_message,
    send_request,
    stream_events,
)
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


class SnapshotClient:
    """Keeps what was evaluated of chats; without `options`, nothing."""

    def __init__(self, options: PersistenceOptions | None) -> None:
        self.options = options

    def save(self, worker: WorkerProcess) -> None:
        """Have the chat kept while the process goes on."""
        if self.options:
            with worker.open_request() as call:
                worker.send(wire.SaveSnapshot(call.call_id))

    async def save_and_wait(self, worker: WorkerProcess) -> None:
        """Wait until the chat is kept; a process that doesn't begin with it at once has something worse."""
        if not self.options:
            return
        with suppress(EngineError, TimeoutError), worker.open_request() as call:
            worker.send(wire.SaveSnapshot(call.call_id))
            async with asyncio.timeout(_SAVE_START_S):
                reply = await call.next_message()
            if isinstance(reply, wire.SavingSnapshot):
                async with asyncio.timeout(_SAVE_S):
                    await call.next_message()

    def remove(self, chat_id: int, worker: WorkerProcess | None) -> None:
        """Drop what is kept of a chat, also what is being written now."""
        if self.options:
            KVSnapshotStore.from_options(self.options).remove(chat_id)
        if worker:
            with worker.open_request() as call:
                worker.send(wire.RemoveSnapshot(call.call_id, chat_id))


_SPARE_BYTES = 1 << 30  # for buffers, and for whatever else runs


class LocalEngine:
    """Drives one model; its process starts with the first load, and again whenever it has died.

    `look` tells what the machine offers when the model is loaded; without it, the processor does it all.
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
        self._has_generated = False  # the process that runs, with its first token
        self._log_path = log_path
        self._python = python
        self._snapshots = SnapshotClient(persistence)
        self._worker: WorkerProcess | None = None
        self._model: LoadedModel | None = None
        self._starting = asyncio.Lock()
        self._loading = asyncio.Lock()
        self._turn: Operation | None = None
        self._operations: set[Operation] = set()
        self.on_notice: Callable[[Notice], None] = lambda notice: None
        """Called with what the engine tells between turns."""

    @property
    def capabilities(self) -> Capabilities:
        """What this engine offers."""
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
        """The engine's process; None where there is none."""
        worker = self._running_worker()
        return worker.pid if worker else None

    async def load(self) -> AsyncGenerator[EngineEvent, None]:
        """Make the model ready, with progress; ends with `EngineFailed` if it can't be or was cancelled."""
        with Operation(self._operations) as running:
            try:
                async with aclosing(self._load(running)) as events:
                    async for event in events:
                        yield event
            except EngineError as error:
                yield EngineFailed.from_error(error)

    async def count_tokens(self, request: ChatRequest) -> TokenCounts:
        """Count the tokens of a request; loads first where needed; answered while a reply is generated.

        Raises:
            EngineError: the model can't be loaded, or the request can't be rendered.
        """
        async with aclosing(self.load()) as events:
            async for event in events:
                if isinstance(event, EngineFailed):
                    raise EngineError(event.key, **event.values)
        reply = await send_request(await self.ensure_worker(), partial(wire.CountTokens, request=request))
        if not isinstance(reply, wire.TokensCounted):
            raise error_from_message(reply)
        return reply.counts

    async def larger_n_ctx(self, tokens: int) -> int | None:
        """Find a larger context that so many tokens fit into; None where model or memory end before."""
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
            free_bytes - _SPARE_BYTES,
        )

    async def enlarge(self, n_ctx: int) -> AsyncGenerator[EngineEvent, None]:
        """Load the model again with a context of that size; where that fails, it is as before and said."""
        before = self._settings
        for settings in (replace(before, n_ctx=n_ctx), before):
            await self.close()
            self._settings = settings
            async with aclosing(self.load()) as events:
                async for event in events:
                    if not isinstance(event, EngineFailed):
                        yield event
                    elif settings is before or event.key == "engine.load_cancelled":
                        self._settings = before
                        yield event
                        return
            if self.model is not None:
                return
            yield Notice("engine.not_enlarged", {"n_ctx": n_ctx})

    async def devices(self) -> tuple[wire.Device, ...]:
        """List what llama.cpp can compute on, with its free memory; raises as `ensure_worker`."""
        reply = await send_request(await self.ensure_worker(), wire.ListDevices)
        if not isinstance(reply, wire.DevicesListed):
            raise error_from_message(reply)
        return reply.devices

    async def wait_idle(self) -> None:
        """Wait until nothing is left to do: after a reply, the next prompt's beginning is evaluated."""
        if worker := self._running_worker():
            reply = await send_request(worker, wire.WaitIdle)
            if not isinstance(reply, wire.Idle):
                raise error_from_message(reply)

    async def generate(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Generate a reply; loads first where needed; the last event is `TurnFinished` or `EngineFailed`.

        Closing the generator early cancels the reply.

        Raises:
            EngineError: another reply is being generated.
        """
        if self._turn:
            raise EngineError("engine.busy")
        with Operation(self._operations) as running:
            self._turn = running
            try:
                async with aclosing(self._reply(running, request)) as events:
                    async for event in events:
                        yield event
            except Cancelled:
                yield TurnFinished(StopReason.CANCELLED, request.mode, Usage(), Timings(), request.seed)
            except EngineError as error:
                yield EngineFailed.from_error(error)
            finally:
                self._turn = None

    async def end_thinking(self) -> None:
        """Have the running reply stop thinking and answer now."""
        if self._turn:
            self._turn.end_thinking()

    async def ensure_worker(self) -> WorkerProcess:
        """Return the process, started where there is none.

        Raises:
            EngineError: it can't be started.
        """
        async with self._starting:
            worker = self._running_worker()
            if worker is None:
                self._model = None
                worker = self._worker = await WorkerProcess.start(self._python, self._log_path)
                worker.on_notice = lambda notice: self.on_notice(notice)
            return worker

    async def cancel(self) -> None:
        """Stop the running reply or load; what arrived stays valid."""
        for running in self._operations:
            running.cancel()

    def leave_chat(self) -> None:
        """Have what was evaluated of the chat kept on disk, where it took long."""
        if worker := self._running_worker():
            self._snapshots.save(worker)

    def remove_snapshot(self, chat_id: int) -> None:
        """Drop what was kept of a chat that is deleted."""
        self._snapshots.remove(chat_id, self._running_worker())

    async def close(self) -> None:
        """End the process after it has kept the chat; where it hangs, it is gone a few seconds later."""
        await self.cancel()
        if worker := await self._detach_worker():
            await self._snapshots.save_and_wait(worker)
            await worker.end()

    def _running_worker(self) -> WorkerProcess | None:
        return self._worker if self._worker and not self._worker.exit_error else None

    async def _detach_worker(self) -> WorkerProcess | None:
        async with self._starting:
            worker, self._worker, self._model = self._worker, None, None
        return worker

    async def _reply(self, operation: Operation, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Load if need be, then generate; where the first token finds no memory, again with less.

        Raises:
            EngineError: it could not be done; `Cancelled` where that was wanted.
        """
        command = partial(wire.Generate, request=request)
        is_over = False
        while not is_over:
            async with aclosing(self._load(operation)) as events:
                async for event in events:
                    yield event
            try:
                turn = stream_events(await self.ensure_worker(), operation, command)
                async with aclosing(turn) as happenings:
                    async for happening in happenings:
                        self._has_generated |= isinstance(happening, ReasoningDelta | AnswerDelta)
                        if not isinstance(happening, LoadedModel):
                            yield happening
                is_over = True
            except EngineError as error:
                if self._has_generated:
                    raise
                yield await self._fall_back(error)

    async def _load(self, operation: Operation) -> AsyncGenerator[EngineEvent, None]:
        """Load if the model is not there; where memory runs out, again with less.

        Raises:
            EngineError: it could not be loaded; `Cancelled` where that was wanted.
        """
        async with self._loading:
            if self._planner.settings is not self._settings:
                self._planner = LoadPlanner(self._settings, self._probe_machine)
            while self.model is None:
                if operation.is_cancelled:
                    raise Cancelled("engine.load_cancelled")
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
                    async with aclosing(stream_events(worker, operation, command)) as happenings:
                        async for happening in happenings:
                            if isinstance(happening, LoadedModel):
                                self._model = happening
                            else:
                                yield happening
                except EngineError as error:
                    yield await self._fall_back(error)

    async def _fall_back(self, error: EngineError) -> Notice:
        """Plan with less and end the process, whose memory is not to be trusted; say what is given up.

        Raises:
            EngineError: the one that was given, where nothing is left to give up.
        """
        notice = self._planner.fall_back(error)
        if notice is None:
            raise error
        if worker := await self._detach_worker():
            await worker.end()
        return notice


async def calibrate(engine: LocalEngine) -> AsyncGenerator[wire.TrialFinished | wire.Calibrated, None]:
    """Measure how the model, which is loaded, runs fastest here; used from the next load on.

    The last reply is what was found. Given up early, the measurement is cancelled.

    Raises:
        EngineError: llama.cpp could not do it.
    """
    worker = await engine.ensure_worker()
    with worker.open_request() as call:
        worker.send(wire.Calibrate(call.call_id))
        is_over = False
        try:
            while not is_over:
                reply = await call.next_message()
                is_over = not isinstance(reply, wire.TrialFinished)
                if not isinstance(reply, wire.TrialFinished | wire.Calibrated):
                    raise error_from_message(reply)
                yield reply
        finally:
            if not is_over:
                worker.send(wire.Cancel(call.call_id))
