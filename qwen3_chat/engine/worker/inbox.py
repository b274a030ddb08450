"""The commands as they come in, read by a thread of their own so that a running reply can be stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import BinaryIO

from qwen3_chat.engine import wire
from qwen3_chat.engine.worker.abort import AbortFlag

_START_S = 30.0
_GRACE_S = 1.0

Question = wire.CountTokens | wire.ListDevices | wire.Rest | wire.ForgetChat


class Job:
    """A load, a reply or the like, with what the client may ask of it meanwhile."""

    __slots__ = ("abort", "command", "ends_thinking")

    def __init__(self, command: wire.Load | wire.Generate | wire.KeepChat | wire.Calibrate) -> None:
        self.command = command
        self.abort = AbortFlag()
        self.ends_thinking = False


class Inbox:
    """Reads commands: long ones wait for the main thread, the others are done at once.

    When the client is gone, every job is stopped and the process ends within a second, whatever it is doing;
    only while it starts, before it takes anything, it has longer.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._waiting: SimpleQueue[Job | Question | None] = SimpleQueue()
        self._jobs: dict[int, Job] = {}
        self._idle: AbortFlag | None = None
        self._is_over = False
        self._lock = Lock()
        self._has_started = Event()
        self.answer: Callable[[Question], None] | None = None
        """What answers short questions; until there is something, they wait in the queue."""

    def start(self) -> None:
        """Begin to read."""
        Thread(target=self._read, name="inbox", daemon=True).start()

    def take(self) -> Job | Question | None:
        """Wait for the next thing to do; None when the client is gone."""
        self._has_started.set()
        return self._waiting.get()

    def done(self, job: Job) -> None:
        """Forget a job that is over."""
        with self._lock:
            self._jobs.pop(job.command.call_id, None)

    @contextmanager
    def idle(self) -> Iterator[AbortFlag]:
        """Give a flag that goes up as soon as there is a job to do, which may be at once."""
        with self._lock:
            flag = self._idle = AbortFlag()
            if self._jobs or self._is_over:
                flag.hoist()
        yield flag
        with self._lock:
            self._idle = None

    def _read(self) -> None:
        try:
            for line in self._source:
                self._receive(wire.decode_command(line))
        finally:  # the end of the client, or of what we understand of it
            with self._lock:
                self._is_over = True
                for job in self._jobs.values():
                    job.abort.hoist()
                self._interrupt_idle()
            self._waiting.put(None)
            self._has_started.wait(_START_S)
            time.sleep(_GRACE_S)
            os._exit(1)

    def _receive(self, command: wire.AnyCommand) -> None:
        match command:
            case wire.Load() | wire.Generate() | wire.KeepChat() | wire.Calibrate():
                job = Job(command)
                with self._lock:
                    self._jobs[command.call_id] = job
                    self._interrupt_idle()
                self._waiting.put(job)
            case wire.Rest() | wire.ForgetChat():
                self._waiting.put(command)
            case wire.CountTokens() | wire.ListDevices():
                if self.answer is None:
                    self._waiting.put(command)
                else:
                    self.answer(command)
            case wire.Cancel(call_id):
                with self._lock:
                    if job_to_stop := self._jobs.get(call_id):
                        job_to_stop.abort.hoist()
            case wire.EndThinking(call_id):
                with self._lock:
                    if job_to_hurry := self._jobs.get(call_id):
                        job_to_hurry.ends_thinking = True

    def _interrupt_idle(self) -> None:
        if self._idle:
            self._idle.hoist()
