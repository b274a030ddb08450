"""The engine on this machine: llama.cpp in a process of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil

from qwen3_chat import gguf
from qwen3_chat.chat import StopReason, Timings, Usage
from qwen3_chat.engine import wire
from qwen3_chat.engine.chat_keeping import ChatKeeping
from qwen3_chat.engine.exchange import ask, exchange, unexpected
from qwen3_chat.engine.larger_context import larger_n_ctx
from qwen3_chat.engine.planner import Look, Planner
from qwen3_chat.engine.planning import longest_n_ctx
from qwen3_chat.engine.process import WorkerProcess
from qwen3_chat.engine.running import Running
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
from qwen3_chat.request import Capabilities, ChatRequest, Keeping, LoadedModel, LoadSettings, Measure

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
        keeping: Keeping | None = None,
        look: Look | None = None,
    ) -> None:
        self._settings = settings
        self._look = look
        self._planner = Planner(settings, look)
        self._has_worked = False  # the process that runs, with its first token
        self._log_path = log_path
        self._python = python
        self._chats = ChatKeeping(keeping)
        self._worker: WorkerProcess | None = None
        self._model: LoadedModel | None = None
        self._starting = asyncio.Lock()
        self._loading = asyncio.Lock()
        self._turn: Running | None = None
        self._all_running: set[Running] = set()
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
        return self._model if self._living_worker() else None

    @property
    def pid(self) -> int | None:
        """The engine's process; None where there is none."""
        worker = self._living_worker()
        return worker.pid if worker else None

    async def load(self) -> AsyncGenerator[EngineEvent, None]:
        """Make the model ready, with progress; ends with `EngineFailed` if it can't be or was cancelled."""
        with Running(self._all_running) as running:
            try:
                async with aclosing(self._load(running)) as events:
                    async for event in events:
                        yield event
            except EngineError as error:
                yield EngineFailed.of(error)

    async def measure(self, request: ChatRequest) -> Measure:
        """Count the tokens of a request; loads first where needed; answered while a reply is generated.

        Raises:
            EngineError: the model can't be loaded, or the request can't be rendered.
        """
        async with aclosing(self.load()) as events:
            async for event in events:
                if isinstance(event, EngineFailed):
                    raise EngineError(event.key, **event.values)
        reply = await ask(await self.started_worker(), partial(wire.CountTokens, request=request))
        if not isinstance(reply, wire.Counted):
            raise unexpected(reply)
        return reply.measure

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
            tokens, model.n_ctx, longest_n_ctx(header), header.kv_bytes_per_token, free_bytes - _SPARE_BYTES
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
        """List what llama.cpp can compute on, with its free memory; raises as `started_worker`."""
        reply = await ask(await self.started_worker(), wire.ListDevices)
        if not isinstance(reply, wire.DevicesListed):
            raise unexpected(reply)
        return reply.devices

    async def rest(self) -> None:
        """Wait until nothing is left to do: after a reply, the next prompt's beginning is evaluated."""
        if worker := self._living_worker():
            reply = await ask(worker, wire.Rest)
            if not isinstance(reply, wire.Rested):
                raise unexpected(reply)

    async def generate(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Generate a reply; loads first where needed; the last event is `TurnFinished` or `EngineFailed`.

        Closing the generator early cancels the reply.

        Raises:
            EngineError: another reply is being generated.
        """
        if self._turn:
            raise EngineError("engine.busy")
        with Running(self._all_running) as running:
            self._turn = running
            try:
                async with aclosing(self._reply(running, request)) as events:
                    async for event in events:
                        yield event
            except Cancelled:
                yield TurnFinished(StopReason.CANCELLED, request.mode, Usage(), Timings(), request.seed)
            except EngineError as error:
                yield EngineFailed.of(error)
            finally:
                self._turn = None

    async def end_thinking(self) -> None:
        """Have the running reply stop thinking and answer now."""
        if self._turn:
            self._turn.end_thinking()

    async def started_worker(self) -> WorkerProcess:
        """Return the process, started where there is none.

        Raises:
            EngineError: it can't be started.
        """
        async with self._starting:
            worker = self._living_worker()
            if worker is None:
                self._model = None
                worker = self._worker = await WorkerProcess.start(self._python, self._log_path)
                worker.on_notice = lambda notice: self.on_notice(notice)
            return worker

    async def cancel(self) -> None:
        """Stop the running reply or load; what arrived stays valid."""
        for running in self._all_running:
            running.cancel()

    def leave_chat(self) -> None:
        """Have what was evaluated of the chat kept on disk, where it took long."""
        if worker := self._living_worker():
            self._chats.leave(worker)

    def forget_chat(self, chat_id: int) -> None:
        """Drop what was kept of a chat that is deleted."""
        self._chats.forget(chat_id, self._living_worker())

    async def close(self) -> None:
        """End the process after it has kept the chat; where it hangs, it is gone a few seconds later."""
        await self.cancel()
        if worker := await self._take_worker():
            await self._chats.end(worker)
            await worker.end()

    def _living_worker(self) -> WorkerProcess | None:
        return self._worker if self._worker and not self._worker.death else None

    async def _take_worker(self) -> WorkerProcess | None:
        async with self._starting:
            worker, self._worker, self._model = self._worker, None, None
        return worker

    async def _reply(self, running: Running, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Load if need be, then generate; where the first token finds no memory, again with less.

        Raises:
            EngineError: it could not be done; `Cancelled` where that was wanted.
        """
        command = partial(wire.Generate, request=request)
        is_over = False
        while not is_over:
            async with aclosing(self._load(running)) as events:
                async for event in events:
                    yield event
            try:
                turn = exchange(await self.started_worker(), running, command)
                async with aclosing(turn) as happenings:
                    async for happening in happenings:
                        self._has_worked |= isinstance(happening, ReasoningDelta | AnswerDelta)
                        if not isinstance(happening, LoadedModel):
                            yield happening
                is_over = True
            except EngineError as error:
                if self._has_worked:
                    raise
                yield await self._step_down(error)

    async def _load(self, running: Running) -> AsyncGenerator[EngineEvent, None]:
        """Load if the model is not there; where memory runs out, again with less.

        Raises:
            EngineError: it could not be loaded; `Cancelled` where that was wanted.
        """
        async with self._loading:
            if self._planner.settings is not self._settings:
                self._planner = Planner(self._settings, self._look)
            while self.model is None:
                if running.is_cancelled:
                    raise Cancelled("engine.load_cancelled")
                yield LoadProgressed(0)  # there is something to show while the process starts
                plan, notices = await self._planner.plan(self.devices)
                for notice in notices:
                    yield notice
                self._has_worked = False
                command = partial(wire.Load, settings=self._settings, plan=plan, keeping=self._chats.keeping)
                try:
                    worker = await self.started_worker()
                    async with aclosing(exchange(worker, running, command)) as happenings:
                        async for happening in happenings:
                            if isinstance(happening, LoadedModel):
                                self._model = happening
                            else:
                                yield happening
                except EngineError as error:
                    yield await self._step_down(error)

    async def _step_down(self, error: EngineError) -> Notice:
        """Plan with less and end the process, whose memory is not to be trusted; say what is given up.

        Raises:
            EngineError: the one that was given, where nothing is left to give up.
        """
        notice = self._planner.step_down(error)
        if notice is None:
            raise error
        if worker := await self._take_worker():
            await worker.end()
        return notice
