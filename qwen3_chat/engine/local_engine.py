"""The engine on this machine: llama.cpp in a process of its own, with its snapshots and its calibration."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3_chat.engine import wire
from qwen3_chat.engine.kv_snapshot_store import KVSnapshotStore
from qwen3_chat.engine.llama_compilation import missing_llama_cpp_sentence
from qwen3_chat.engine.load_plan import SPARE_MEMORY_BYTES
from qwen3_chat.engine.native_libraries import default_library, has_llama_cpp, library_environment
from qwen3_chat.engine.warm_client import WarmEngine, load_key
from qwen3_chat.engine.worker_process import (
    CommandFactory,
    PendingRequest,
    WorkerProcess,
    error_from_message,
    fetch_devices,
    list_devices,
)
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import Cancelled, EngineDied, EngineError
from qwen3_chat.events import EventSink, LoadProgressed, Notice, TurnFinished
from qwen3_chat.record_copies import replace
from qwen3_chat.request import (
    LLAMA_CPP_NAME,
    Capabilities,
    ChatRequest,
    LoadedModel,
    LoadSettings,
    PersistenceOptions,
    TokenCounts,
)

if TYPE_CHECKING:
    from qwen3_chat.engine.library_choice import Measurement
    from qwen3_chat.engine.library_router import LibraryRouter
    from qwen3_chat.engine.library_trial import TrialSink
    from qwen3_chat.engine.load_planner import LoadPlanner, MachineProbe
    from qwen3_chat.engine.tuning import Tuning

_SAVE_START_S, _SAVE_S = 2.0, 60.0
"""The longest waits for a snapshot: until its writing begins, until it is saved."""

COMPARISON_DELAY_S = 20.0
"""The time without a question after which libraries are compared."""


class SnapshotClient:
    """The client of the worker's snapshots of chats; without `options`, it saves nothing."""

    def __init__(self, options: PersistenceOptions | None) -> None:
        self.options = options

    def save(self, worker: WorkerProcess) -> None:
        """Request a snapshot of the chat without waiting for it."""
        if self.options:
            with worker.open_request(wire.SaveSnapshot):
                pass

    async def save_and_wait(self, worker: WorkerProcess) -> None:
        """Save a snapshot and wait for it; give up if the process does not begin within 2 s: it may hang."""
        if not self.options:
            return
        with suppress(EngineError, TimeoutError):
            async with asyncio.timeout(_SAVE_START_S) as limit:
                now_s = asyncio.get_running_loop().time
                with worker.open_request(
                    wire.SaveSnapshot, on_message=lambda _: limit.reschedule(now_s() + _SAVE_S)
                ) as request:
                    await asyncio.shield(request.outcome)

    def remove(self, chat_id: int, worker: WorkerProcess | None) -> None:
        """Remove the snapshot of a chat, even one that is being written now."""
        if self.options:
            KVSnapshotStore.from_options(self.options).remove(chat_id)
        if worker:
            with worker.open_request(partial(wire.RemoveSnapshot, chat_id=chat_id)):
                pass


class LocalEngine:
    """The engine of one model; its process starts with the first load, and again whenever it has died.

    `probe_machine` describes the machine when the model is loaded; without it, the model runs on the CPU.
    `environment` are the variables of the process where they are not those of this one. With `warm`, the
    process may be one that outlives this engine, and that has the model already. An engine for `is_one_shot`,
    a single answer, loads quickly rather than answers quickly.
    """

    def __init__(
        self,
        settings: LoadSettings,
        log_path: Path,
        python: str = sys.executable,
        persistence: PersistenceOptions | None = None,
        probe_machine: MachineProbe | None = None,
        environment: Mapping[str, str] | None = None,
        warm: WarmEngine | None = None,
        is_one_shot: bool = False,
    ) -> None:
        self._environment = environment
        self._warm = warm
        self._was_warm = False
        """True if the running process had the model before this engine asked for it."""
        self._settings = settings
        self._probe_machine = probe_machine
        self._planner: LoadPlanner | None = None
        """The planner of the loads; a model that was warm has none."""
        self._has_generated = False
        """True once the running process has generated a token."""
        self._log_path = log_path
        self._python = python
        self._snapshots = SnapshotClient(persistence)
        self._worker: WorkerProcess | None = None
        self._model: LoadedModel | None = None
        self._start_lock = asyncio.Lock()
        self._load_lock = asyncio.Lock()
        self._is_generating = False
        """True while a reply is in progress, the load before it included."""
        self._reply: PendingRequest | None = None
        """The request of the reply that the process generates."""
        self._library = LLAMA_CPP_NAME
        """The native library of the running process."""
        self._is_one_shot = is_one_shot
        self._router: LibraryRouter | None = None
        """The router to a native library, made with the planner."""
        self.comparison: asyncio.Task[None] | None = None
        """The comparison of the native libraries that waits for idle time, or is under way."""
        self._n_closes = 0
        """The number of calls of `close`; a load that was begun before one ends."""
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
            requires_calls=True,
            continues_with_call=True,
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

    async def load(self, on_event: EventSink) -> None:
        """Load the model unless it is loaded; if memory runs out, use a smaller plan.

        Raises:
            EngineError: the load failed; `Cancelled` if the engine was closed.
        """
        n_closes = self._n_closes
        async with self._load_lock:
            while self.model is None:
                if self._n_closes != n_closes:
                    raise Cancelled(ErrorCode.LOAD_CANCELLED)
                worker = self._worker
                if worker and worker.exit_error and (notice := self._leave_library(worker.exit_error)):
                    on_event(notice)  # it died in idle time
                on_event(LoadProgressed(0))  # there is something to show while the process starts
                if self._warm:
                    await self.ensure_worker(report=on_event)
                    if self._model is not None:
                        break  # it was warm
                planner = await asyncio.to_thread(self._prepare_planner)
                try:
                    plan, notices = await planner.plan(await self._device_lister())
                    for notice in notices:
                        on_event(notice)
                    self._has_generated = False
                    library = LLAMA_CPP_NAME
                    if self._router:
                        library, plan = await self._router.choose(plan)
                    if library == LLAMA_CPP_NAME and not has_llama_cpp(self._environment):
                        raise EngineError(ErrorCode.LLAMA_CPP_MISSING, reason=missing_llama_cpp_sentence())
                    command = partial(
                        wire.Load,
                        settings=self._settings,
                        plan=plan,
                        persistence=self._snapshots.options,
                    )
                    await self.ensure_worker(library)
                    await self._load(command, on_event)
                except EngineError as error:
                    on_event(await self._fall_back(error))

    async def _device_lister(self) -> wire.DeviceLister:
        """Return what lists the devices: the process that will have the model, where that is foreseen."""
        expected = await self._router.expect() if self._router else default_library(self._environment)
        if expected == LLAMA_CPP_NAME:
            return self.devices
        return partial(fetch_devices, await self.ensure_worker(expected))

    def _prepare_planner(self) -> LoadPlanner:
        """Return the planner, which is imported now, while the process starts; so is the router."""
        from qwen3_chat.engine.library_router import LibraryRouter
        from qwen3_chat.engine.library_trial import LibraryComparer
        from qwen3_chat.engine.load_planner import LoadPlanner

        persistence = self._snapshots.options
        if self._router is None and persistence:
            comparer = LibraryComparer(self._log_path, self._python, persistence.folder, self._environment)
            self._router = LibraryRouter(self._settings, persistence, comparer, self._is_one_shot)
        if self._planner is None or self._planner.settings is not self._settings:
            self._planner = LoadPlanner(self._settings, self._probe_machine)
        return self._planner

    async def _load(self, command: CommandFactory, on_event: EventSink) -> None:
        worker = await self.ensure_worker()
        with worker.open_request(command, on_event) as request:
            try:
                message = await request.last_message()
            finally:
                # also where the caller was cancelled too late: the process has the model
                if request.outcome.done() and isinstance(loaded := request.outcome.result(), wire.Loaded):
                    self._model = loaded.model
        if not isinstance(message, wire.Loaded):
            raise error_from_message(message)

    async def count_tokens(self, request: ChatRequest) -> TokenCounts:
        """Count the tokens of a request, even while a reply is generated.

        Raises:
            EngineError: the process ended, no model is loaded, or the request can't be rendered.
        """
        worker = await self.ensure_worker()
        message = await worker.request(partial(wire.CountTokens, request=request))
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
        import psutil  # here: few chats outgrow their context

        from qwen3_chat.engine.load_planner import larger_n_ctx, max_n_ctx_from_header
        from qwen3_chat.models import gguf

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

    async def enlarge(self, n_ctx: int, on_event: EventSink) -> None:
        """Load the model again with that context; after a failure, go back to the old one with a notice.

        Raises:
            EngineError: not even the old one could be loaded again.
        """
        before = self._settings
        await self.close()
        self._settings = replace(before, n_ctx=n_ctx)
        try:
            await self.load(on_event)
        except EngineError as error:
            self._settings = before
            if isinstance(error, Cancelled):
                raise
            await self.close()
            await self.load(on_event)
            on_event(Notice("engine.not_enlarged", {"n_ctx": n_ctx}))
        except asyncio.CancelledError:
            self._settings = before
            raise

    async def devices(self) -> tuple[wire.Device, ...]:
        """Return the devices that llama.cpp can compute on, with their free memory.

        Raises:
            EngineError: the process can't be started or could not list them.
        """
        knows_gpus = self._library == LLAMA_CPP_NAME or not has_llama_cpp(self._environment)
        if self._running_worker() and not knows_gpus:
            return await list_devices(self._log_path, self._python, self._environment)
        return await fetch_devices(await self.ensure_worker())

    async def wait_idle(self) -> None:
        """Wait until the worker is idle: after a reply, it evaluates the beginning of the next prompt."""
        if worker := self._running_worker():
            message = await worker.request(wire.WaitIdle)
            if not isinstance(message, wire.Idle):
                raise error_from_message(message)

    async def generate(self, request: ChatRequest, on_event: EventSink) -> TurnFinished:
        """Generate a reply, after loading the model if needed; return the last event.

        If memory runs out before the first token, a smaller plan is used.

        Raises:
            EngineError: the reply failed, or another one is being generated.
        """
        if self._is_generating:
            raise EngineError(ErrorCode.ENGINE_BUSY)
        n_closes = self._n_closes
        self._is_generating = True
        try:
            await self._end_comparison()
            while True:
                await self.load(on_event)
                try:
                    return await self._generate(request, on_event)
                except EngineError as error:
                    if self._has_generated:
                        if notice := self._leave_library(error):
                            on_event(notice)
                        raise
                    on_event(await self._fall_back(error))
        finally:
            self._is_generating = False
            if self._n_closes == n_closes:
                self._compare_in_idle_time()

    async def _generate(self, request: ChatRequest, on_event: EventSink) -> TurnFinished:
        worker = await self.ensure_worker()
        with worker.open_request(partial(wire.Generate, request=request), on_event) as self._reply:
            try:
                message = await self._reply.last_message()
            finally:
                self._has_generated |= self._reply.has_text
                self._reply = None
        match message:
            case wire.EventEmitted(_, TurnFinished() as finished):
                return finished
            case _:
                raise error_from_message(message)

    async def calibrate(self, on_trial: Callable[[wire.TrialFinished], None]) -> wire.Calibrated:
        """Measure the fastest settings of the loaded model, to be used from the next load on.

        Raises:
            EngineError: llama.cpp could not measure them.
        """

        def on_message(message: wire.AnyWorkerMessage) -> None:
            if isinstance(message, wire.TrialFinished):
                on_trial(message)

        worker = await self.ensure_worker()
        with worker.open_request(wire.Calibrate, on_message=on_message) as request:
            message = await request.last_message()
        if not isinstance(message, wire.Calibrated):
            raise error_from_message(message)
        return message

    async def compare_libraries(self, tuning: Tuning, on_trial: TrialSink) -> Measurement | Notice | None:
        """Compare the native libraries after a calibration that gave `tuning`; this process ends for it.

        Return a notice if the faster library failed, None if there is none for this model.

        Raises:
            EngineError: llama-cpp-python failed.
        """
        if self._router is None:
            return None
        known = tuning if self._library == LLAMA_CPP_NAME else None
        if worker := await self._detach_worker():
            await worker.end()
        return await self._router.compare_completely(known, on_trial)

    async def end_thinking(self) -> None:
        """Make the running reply stop thinking and answer now."""
        if self._reply:
            self._reply.end_thinking()

    async def ensure_worker(
        self, library: str | None = None, report: EventSink = lambda event: None
    ) -> WorkerProcess:
        """Return the process, after starting it if none is running, or one of another library than this.

        Raises:
            EngineError: the process can't be started.
        """
        async with self._start_lock:
            worker = self._running_worker()
            if worker and library not in (None, self._library):
                self._worker = None
                await worker.end()
                worker = None
            if worker is None:
                self._model = None
                self._library = library or default_library(self._environment)
                environment = self._environment
                if self._library != LLAMA_CPP_NAME:
                    environment = library_environment(self._library, environment)
                worker = self._worker = await self._start_worker(environment, report)
                worker.on_notice = lambda notice: self.on_notice(notice)
            return worker

    async def _start_worker(self, environment: Mapping[str, str] | None, report: EventSink) -> WorkerProcess:
        """Return a new process, or a warm one, with its model if that is the right one."""
        self._was_warm = False
        if self._warm:
            key = await asyncio.to_thread(
                load_key, self._settings, self._snapshots.options, self._environment
            )
            opened = await self._warm.open(key, self._log_path, self._python, environment, report)
            if opened:
                self._model = opened.model
                if opened.model:
                    self._was_warm, self._library = True, opened.model.library or self._library
                return opened.worker
        return await WorkerProcess.start(self._python, self._log_path, environment)

    def leave_chat(self) -> None:
        """Request a snapshot of the evaluated chat, if evaluating it took long."""
        if worker := self._running_worker():
            self._snapshots.save(worker)

    def remove_snapshot(self, chat_id: int) -> None:
        """Remove the snapshot of a deleted chat."""
        self._snapshots.remove(chat_id, self._running_worker())

    async def close(self) -> None:
        """End the process after it has saved the chat; a process that hangs is killed after a few seconds.

        A reply or a load that is in progress ends.
        """
        self._n_closes += 1
        await self._end_comparison()
        if worker := await self._detach_worker():
            worker.cancel_requests()
            await self._snapshots.save_and_wait(worker)
            await worker.release()

    def _running_worker(self) -> WorkerProcess | None:
        return self._worker if self._worker and not self._worker.exit_error else None

    async def _detach_worker(self) -> WorkerProcess | None:
        """Forget the process and its model, and return the process."""
        async with self._start_lock:
            worker, self._worker, self._model = self._worker, None, None
        return worker

    async def _fall_back(self, error: EngineError) -> Notice:
        """Change to a smaller plan, end the process (its memory can't be trusted), and return a notice of it.

        Raises:
            EngineError: the given error, if no smaller plan is left.
        """
        if self._was_warm and isinstance(error, EngineDied):
            notice: Notice | None = Notice("engine.warm_lost")
        else:
            notice = self._leave_library(error)
            if notice is None and self._planner is not None:
                notice = self._planner.fall_back(error)
        if notice is None:
            raise error
        if worker := await self._detach_worker():
            await worker.end()
        return notice

    def _leave_library(self, error: EngineError) -> Notice | None:
        """Give up the faster library if this is its failure; return a notice then."""
        if self._router is None or self._library == LLAMA_CPP_NAME:
            return None
        return self._router.leave(error)

    def _compare_in_idle_time(self) -> None:
        """Compare the libraries after a while, unless that was done, or something is asked before."""
        model = self.model
        if self._router and model and self._router.may_compare(model):
            self.comparison = asyncio.create_task(self._compare(self._router))

    async def _compare(self, router: LibraryRouter) -> None:
        await asyncio.sleep(COMPARISON_DELAY_S)
        with suppress(EngineError):
            await self.wait_idle()
        if notice := await router.compare():
            self.on_notice(notice)

    async def _end_comparison(self) -> None:
        task, self.comparison = self.comparison, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
