"""The main loop of the worker: jobs carried out one after the other, idle time used in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from qwen3_chat.engine import wire
from qwen3_chat.engine.tuning import Trial
from qwen3_chat.engine.worker.abort_flag import AbortedError, AbortFlag
from qwen3_chat.engine.worker.chat_snapshots import ChatSnapshots
from qwen3_chat.engine.worker.client_channel import Inbox, Job, Outbox
from qwen3_chat.engine.worker.llama_log import LlamaLog
from qwen3_chat.engine.worker.llama_model import LlamaModel, load_model
from qwen3_chat.engine.worker.native_library import NativeLibrary
from qwen3_chat.engine.worker.prefetch import prefetch_next_prompt
from qwen3_chat.engine.worker.prompt_ids import count_prompt_tokens
from qwen3_chat.engine.worker.reply_generator import ReplyGenerator, apply_thinking_budget
from qwen3_chat.engine.worker.run_observer import RunObserver
from qwen3_chat.engine.worker.template_process import TemplateRenderer
from qwen3_chat.engine.worker.threads import ThreadGuard, measure_threads
from qwen3_chat.engine.worker.tuner import Tuner
from qwen3_chat.engine.worker.worker_log import WorkerLog
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import Cancelled, EngineError, Qwen3ChatError
from qwen3_chat.events import EngineEvent, TurnFinished
from qwen3_chat.request import ChatRequest, TokenCounts


class CommandLoop:
    """The loop that carries out commands, jobs one after the other in the main thread."""

    def __init__(
        self,
        inbox: Inbox,
        outbox: Outbox,
        log: WorkerLog,
        library: NativeLibrary,
        llama_log: LlamaLog,
        renderer: TemplateRenderer,
    ) -> None:
        self._inbox = inbox
        self._library = library
        self._outbox = outbox
        self._log = log
        self._llama_log = llama_log
        self._renderer = renderer
        self._model: LlamaModel | None = None
        self._unreported_load_s = 0.0  # the duration of a load that no reply has reported yet
        self._tuner: Tuner | None = None
        self._snapshots: ChatSnapshots | None = None
        # The latest reply of a stored chat, as long as that chat exists.
        self._chat_reply: ReplyGenerator | None = None
        # The reply whose next prompt can be prefetched.
        self._last_reply: ReplyGenerator | None = None
        self._observer: RunObserver | None = None
        self._finished: TurnFinished | None = None  # of a reply that was not observed yet

    def run(self) -> None:
        """Carry out commands until the client is gone."""
        self._inbox.start_side_thread(self._run_job)
        while (job := self._inbox.take()) is not None:
            self._run_job(job)
            if job.is_work:
                self._use_idle_time()

    def _run_job(self, job: Job) -> None:
        """Carry out a job, side jobs in another thread than the rest.

        That the worker is idle is true only when its turn in the queue has come.
        """
        call_id = job.command.call_id
        if job.is_work:
            self._llama_log.clear_errors()
        try:
            match job.command:
                case wire.CountTokens(_, request):
                    self._outbox.send(wire.TokensCounted(call_id, self._count(request, job)))
                case wire.ListDevices():
                    self._outbox.send(wire.DevicesListed(call_id, self._library.list_devices()))
                case wire.MeasureKernels():
                    self._outbox.send(wire.KernelsMeasured(call_id, self._library.measure_devices()))
                case wire.WaitIdle():
                    tuning = self._tuner.tuning if self._tuner else None
                    self._outbox.send(wire.Idle(call_id, tuning))
                case wire.RemoveSnapshot(_, chat_id):
                    self._remove_snapshot(chat_id)
                case wire.Load() as command:
                    self._load(command, job)
                case wire.Generate(_, request):
                    for event in self._reply(request, job):
                        self._outbox.send(wire.EventEmitted(call_id, event))
                        if isinstance(event, TurnFinished):
                            self._finished = event
                case wire.SaveSnapshot(call_id):
                    self._save_snapshot(call_id)
                    self._outbox.send(wire.SnapshotSaved(call_id))
                case wire.Calibrate(call_id):
                    self._calibrate(call_id, job)
        except Exception as error:  # whatever it is, the client waits for the end of the call
            self._send_failure(call_id, error)
        finally:
            self._inbox.finish(job)

    def _count(self, request: ChatRequest, job: Job) -> TokenCounts:
        model = self._require_model()
        return count_prompt_tokens(
            model.template, model.vocab, apply_thinking_budget(request), job.abort.is_set
        )

    def _load(self, command: wire.Load, job: Job) -> None:
        """Load the model where none is loaded yet, and send its description."""
        model = self._model
        if model is None:
            settings, persistence = command.settings, command.persistence
            self._tuner = tuner = Tuner(self._library, settings, command.plan, persistence)
            self._model = model = load_model(
                self._library,
                settings,
                tuner.plan,
                job.abort,
                lambda event: self._outbox.send(wire.EventEmitted(command.call_id, event)),
                self._llama_log,
                self._renderer,
            )
            self._unreported_load_s = model.load_s
            if persistence and persistence.calibrates:
                self._observer = RunObserver(persistence.folder, self._library.list_devices())
            if persistence and persistence.snapshots_bytes:
                self._snapshots = ChatSnapshots(model, persistence)
        self._outbox.send(wire.Loaded(command.call_id, model.description))

    def _reply(self, request: ChatRequest, job: Job) -> Iterator[EngineEvent]:
        """Generate a reply; of a stored chat, with its snapshot where that helps."""
        load_s, self._unreported_load_s = self._unreported_load_s, 0.0
        model = self._require_model()
        model.context.adjust_threads = ThreadGuard(model.threads).record if model.threads else None
        reply = ReplyGenerator(model, request, job, load_s)
        if request.chat_id is None:
            yield from reply.events()
        else:
            self._chat_reply = None
            if self._snapshots is None:
                yield from reply.events()
            else:
                with suppress(OSError):  # then it is evaluated
                    self._snapshots.load(request.chat_id, reply.known_ids)
                yield from self._snapshots.time_evaluation(reply.events())
            self._chat_reply = reply
        self._last_reply = reply

    def _save_snapshot(self, call_id: int) -> None:
        """Save the chat, which may take a while; where that fails, it is evaluated again."""
        if self._snapshots is not None and self._chat_reply is not None:
            with suppress(OSError):
                self._snapshots.save(
                    self._chat_reply, lambda: self._outbox.send(wire.SavingSnapshot(call_id))
                )

    def _remove_snapshot(self, chat_id: int) -> None:
        if self._chat_reply and self._chat_reply.request.chat_id == chat_id:
            self._chat_reply = None
            self._require_model().context.may_discard_chat = True
        if self._snapshots is not None:
            self._snapshots.remove(chat_id)

    def _use_idle_time(self) -> None:
        """Record how the reply went, prefetch the next prompt, then measure, until there is a job to do."""
        finished, self._finished = self._finished, None
        if finished and self._observer:
            self._observer.observe(self._require_model().description, finished)
        reply, self._last_reply = self._last_reply, None
        if reply is None:
            return
        with self._inbox.idle() as abort:
            try:
                model = self._require_model()
                prefetch_next_prompt(model, reply.request, reply.message(), reply.stop_reason, abort)
                if model.threads is not None:
                    measure_threads(model.context, model.threads, abort)
                self._calibrate_in_idle_time(abort)
            except (AbortedError, Cancelled):
                return
            except Exception as error:  # the next turn does without
                self._log.write_failure(error)

    def _calibrate_in_idle_time(self, abort: AbortFlag) -> None:
        model, tuner = self._require_model(), self._tuner
        if abort.is_set() or tuner is None or not tuner.has_idle_work(model):
            return
        tuner.calibrate_in_idle_time(
            model, abort, lambda notice: self._outbox.send(wire.NoticeEmitted(notice))
        )

    def _calibrate(self, call_id: int, job: Job) -> None:
        assert self._tuner is not None

        def send_trial(trial: Trial, done: int, total: int) -> None:
            self._outbox.send(wire.TrialFinished(call_id, trial, done, total))

        tuning = None
        with suppress(AbortedError):
            tuning = self._tuner.calibrate(self._require_model(), job.abort, send_trial)
        self._outbox.send(wire.Calibrated(call_id, tuning))

    def _require_model(self) -> LlamaModel:
        if self._model is None:
            raise EngineError(ErrorCode.NO_MODEL_LOADED)
        return self._model

    def _send_failure(self, call_id: int, error: Exception) -> None:
        if isinstance(error, Qwen3ChatError):
            self._outbox.send(wire.CommandFailed.from_error(call_id, error))
        else:
            self._log.write_failure(error)
            unforeseen = EngineError(ErrorCode.UNEXPECTED_FAILURE, error=type(error).__name__)
            self._outbox.send(wire.CommandFailed.from_error(call_id, unforeseen))
