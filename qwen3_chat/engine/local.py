"""The engine on this machine: llama.cpp in a process of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import psutil

from qwen3_chat import gguf
from qwen3_chat.chat import StopReason, Timings, Usage
from qwen3_chat.engine import wire
from qwen3_chat.engine.chat_keeping import ChatKeeping
from qwen3_chat.engine.larger_context import larger_n_ctx
from qwen3_chat.engine.process import WorkerProcess
from qwen3_chat.engine.running import Running
from qwen3_chat.errors import Cancelled, EngineError
from qwen3_chat.events import EngineEvent, EngineFailed, LoadProgressed, Notice, TurnFinished
from qwen3_chat.request import Capabilities, ChatRequest, Keeping, LoadedModel, LoadSettings, Measure

CommandOf = Callable[[int], wire.AnyCommand]

_SPARE_BYTES = 1 << 30  # for buffers, and for whatever else runs


class LocalEngine:
    """Drives one model; its process starts with the first load, and again whenever it has died."""

    def __init__(
        self,
        settings: LoadSettings,
        log_path: Path,
        python: str = sys.executable,
        keeping: Keeping | None = None,
    ) -> None:
        self._settings = settings
        self._log_path = log_path
        self._python = python
        self._chats = ChatKeeping(keeping)
        self._worker: WorkerProcess | None = None
        self._model: LoadedModel | None = None
        self._starting = asyncio.Lock()
        self._loading = asyncio.Lock()
        self._turn: Running | None = None
        self._all_running: set[Running] = set()

    @property
    def capabilities(self) -> Capabilities:
        """What this engine offers."""
        return Capabilities(
            soft_switch=True,
            hard_switch=True,
            thinking_budget=True,
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
        reply = await _ask(await self._started_worker(), lambda call_id: wire.CountTokens(call_id, request))
        if not isinstance(reply, wire.Counted):
            raise _unexpected(reply)
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
            tokens, model.n_ctx, model.n_ctx_train, header.kv_bytes_per_token, free_bytes - _SPARE_BYTES
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
        """List what llama.cpp can compute on, with the memory that is free now; no model is needed.

        Raises:
            EngineError: the engine can't be started.
        """
        reply = await _ask(await self._started_worker(), wire.ListDevices)
        if not isinstance(reply, wire.DevicesListed):
            raise _unexpected(reply)
        return reply.devices

    async def rest(self) -> None:
        """Wait until nothing is left to do: after a reply, the next prompt's beginning is evaluated."""
        if worker := self._living_worker():
            reply = await _ask(worker, wire.Rest)
            if not isinstance(reply, wire.Rested):
                raise _unexpected(reply)

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
                async with aclosing(self._load(running)) as events:
                    async for event in events:
                        yield event
                turn = self._exchange(running, lambda call_id: wire.Generate(call_id, request))
                async with aclosing(turn) as events:
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
        async with self._starting:
            worker, self._worker, self._model = self._worker, None, None
        if worker:
            await self._chats.end(worker)
            await worker.end()

    def _living_worker(self) -> WorkerProcess | None:
        return self._worker if self._worker and not self._worker.death else None

    async def _started_worker(self) -> WorkerProcess:
        async with self._starting:
            worker = self._living_worker()
            if worker is None:
                self._model = None
                worker = self._worker = await WorkerProcess.start(self._python, self._log_path)
            return worker

    async def _load(self, running: Running) -> AsyncGenerator[EngineEvent, None]:
        """Load if the model is not there.

        Raises:
            EngineError: it could not be loaded; `Cancelled` where that was wanted.
        """
        async with self._loading:
            if running.is_cancelled:
                raise Cancelled("engine.load_cancelled")
            if self.model is None:
                yield LoadProgressed(0)  # there is something to show while the process starts
                load = self._exchange(
                    running, lambda call_id: wire.Load(call_id, self._settings, self._chats.keeping)
                )
                async with aclosing(load) as events:
                    async for event in events:
                        yield event

    async def _exchange(self, running: Running, command_of: CommandOf) -> AsyncGenerator[EngineEvent, None]:
        """Send a command and walk over what happens until it is done; given up early, it is cancelled."""
        worker = await self._started_worker()
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
                            self._model = model
                        case reply:
                            is_over = True
                            raise _unexpected(reply)
            finally:
                if not is_over:
                    running.cancel()
                running.detach()


async def _ask(worker: WorkerProcess, command_of: CommandOf) -> wire.AnyReply:
    """Send a command that has one reply."""
    with worker.open_call() as call:
        worker.send(command_of(call.call_id))
        return await call.next_reply()


def _unexpected(reply: wire.AnyReply) -> EngineError:
    """Return the error that a reply stands for."""
    match reply:
        case wire.CommandFailed(_, "engine.load_cancelled"):
            return Cancelled("engine.load_cancelled")
        case wire.CommandFailed(_, key, values):
            return EngineError(key, **values)
        case _:
            return EngineError("engine.bug", error=type(reply).__name__)
