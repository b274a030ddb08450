"""What is done about each command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from qwen3_chat.engine import wire
from qwen3_chat.engine.tuning import Trial
from qwen3_chat.engine.worker import model
from qwen3_chat.engine.worker.abort import AbortedError, AbortFlag
from qwen3_chat.engine.worker.ahead import evaluate_ahead
from qwen3_chat.engine.worker.ggml import list_devices
from qwen3_chat.engine.worker.inbox import Inbox, Job, Question
from qwen3_chat.engine.worker.llama_log import LlamaLog
from qwen3_chat.engine.worker.log import Log
from qwen3_chat.engine.worker.outbox import Outbox
from qwen3_chat.engine.worker.prompt_ids import count_messages
from qwen3_chat.engine.worker.reply import Reply, with_budget
from qwen3_chat.engine.worker.snapshots import Snapshots
from qwen3_chat.engine.worker.thread_guard import ThreadGuard
from qwen3_chat.engine.worker.thread_trial import try_threads
from qwen3_chat.engine.worker.tuner import Tuner
from qwen3_chat.errors import EngineError, Qwen3ChatError
from qwen3_chat.events import EngineEvent
from qwen3_chat.request import ChatRequest


class Desk:
    """Works on commands: loads and replies in the main thread, one after the other."""

    def __init__(self, inbox: Inbox, outbox: Outbox, log: Log, llama_log: LlamaLog) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._log = log
        self._llama_log = llama_log
        self._model: model.Model | None = None
        self._load_s = 0.0  # of a load that no reply has been charged with yet
        self._tuner: Tuner | None = None
        self._snapshots: Snapshots | None = None
        self._chat_reply: Reply | None = None  # the latest one in a stored chat, as long as that is there
        self._last_reply: Reply | None = None  # whose successor can be prepared for

    def work(self) -> None:
        """Do what comes in until the client is gone."""
        self._inbox.answer = self.answer
        while (task := self._inbox.take()) is not None:
            if isinstance(task, Job):
                self._do(task)
                self._use_idle_time()
            else:
                self.answer(task)

    def answer(self, question: Question) -> None:
        """Answer a short question; any thread may ask, but only its turn in the queue is a sign of rest."""
        try:
            match question:
                case wire.CountTokens(call_id, request):
                    loaded = self._loaded()
                    measure = count_messages(loaded.template, loaded.vocab, with_budget(request))
                    self._outbox.send(wire.Counted(call_id, measure))
                case wire.ListDevices(call_id):
                    self._outbox.send(wire.DevicesListed(call_id, list_devices()))
                case wire.Rest(call_id):
                    self._outbox.send(wire.Rested(call_id))
                case wire.ForgetChat(_, chat_id):
                    self._forget(chat_id)
        except Exception as error:  # whatever it is, the client waits for an answer
            self._report(question.call_id, error)

    def _do(self, job: Job) -> None:
        call_id = job.command.call_id
        self._llama_log.forget_errors()
        try:
            match job.command:
                case wire.Load(_, settings, plan, keeping):
                    if self._model is None:
                        self._tuner = tuner = Tuner(settings, plan, keeping)
                        self._model = model.load(
                            settings,
                            tuner.plan,
                            job.abort,
                            lambda event: self._outbox.send(wire.Happened(call_id, event)),
                            self._llama_log,
                        )
                        self._load_s = self._model.load_s
                        if keeping and keeping.snapshots_bytes:
                            self._snapshots = Snapshots(self._model, keeping)
                    self._outbox.send(wire.Loaded(call_id, self._model.description))
                case wire.Generate(_, request):
                    for event in self._reply(request, job):
                        self._outbox.send(wire.Happened(call_id, event))
                case wire.KeepChat(call_id):
                    self._keep(call_id)
                    self._outbox.send(wire.ChatKept(call_id))
                case wire.Calibrate(call_id):
                    self._calibrate(call_id, job)
        except Exception as error:  # whatever it is, the client waits for the end of the call
            self._report(call_id, error)
        finally:
            self._inbox.done(job)

    def _reply(self, request: ChatRequest, job: Job) -> Iterator[EngineEvent]:
        load_s, self._load_s = self._load_s, 0.0
        loaded = self._loaded()
        loaded.context.guard = ThreadGuard(loaded.threads).note if loaded.threads else None
        reply = Reply(loaded, request, job, load_s)
        if request.chat_id is None:
            yield from reply.events()
        else:
            self._chat_reply = None
            if self._snapshots is None:
                yield from reply.events()
            else:
                with suppress(OSError):  # then it is evaluated
                    self._snapshots.fetch(request.chat_id, reply.known_ids)
                yield from self._snapshots.timed(reply.events())
            self._chat_reply = reply
        self._last_reply = reply

    def _keep(self, call_id: int) -> None:
        """Keep the chat, which may take a while; where that fails, it is evaluated again."""
        if self._snapshots is not None and self._chat_reply is not None:
            with suppress(OSError):
                self._snapshots.keep(self._chat_reply, lambda: self._outbox.send(wire.KeepingChat(call_id)))

    def _forget(self, chat_id: int) -> None:
        if self._chat_reply and self._chat_reply.request.chat_id == chat_id:
            self._chat_reply = None
            self._loaded().context.may_go = True
        if self._snapshots is not None:
            self._snapshots.forget(chat_id)

    def _use_idle_time(self) -> None:
        """Evaluate what the next prompt will begin with and measure, until there is something else to do."""
        reply, self._last_reply = self._last_reply, None
        if reply is None:
            return
        with self._inbox.idle() as abort:
            try:
                loaded = self._loaded()
                evaluate_ahead(loaded, reply.request, reply.message(), reply.stop_reason, abort)
                if loaded.threads is not None:
                    try_threads(loaded.context, loaded.threads, abort)
                self._calibrate_in_idle_time(abort)
            except AbortedError:
                return
            except Exception as error:  # the next turn does without
                self._log.write_failure(error)

    def _calibrate_in_idle_time(self, abort: AbortFlag) -> None:
        loaded, tuner = self._loaded(), self._tuner
        if abort.is_up() or tuner is None or not tuner.wants_idle_time(loaded):
            return
        tuner.use_idle_time(loaded, abort, lambda notice: self._outbox.send(wire.Noticed(notice)))

    def _calibrate(self, call_id: int, job: Job) -> None:
        assert self._tuner is not None

        def tell(trial: Trial, done: int, total: int) -> None:
            self._outbox.send(wire.Tried(call_id, trial, done, total))

        tuning = None
        with suppress(AbortedError):
            tuning = self._tuner.calibrate(self._loaded(), job.abort, tell)
        self._outbox.send(wire.Calibrated(call_id, tuning))

    def _loaded(self) -> model.Model:
        if self._model is None:
            raise EngineError("engine.no_model")
        return self._model

    def _report(self, call_id: int, error: Exception) -> None:
        if isinstance(error, Qwen3ChatError):
            self._outbox.send(wire.CommandFailed.because(call_id, error))
        else:
            self._log.write_failure(error)
            self._outbox.send(wire.CommandFailed(call_id, "engine.bug", {"error": type(error).__name__}))
