"""The channel to the client: an inbox of commands and an outbox of messages.

Commands are read in a thread of their own, so that a running job can be stopped. Messages may be written
from any thread. Nothing here imports llama_cpp: the channel is open before its environment is set.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import BinaryIO

from qwen3_chat.engine import wire
from qwen3_chat.engine.worker.abort_flag import AbortFlag

_START_TIMEOUT_S = 30.0
_EXIT_GRACE_S = 1.0
_MAX_LOCK_WAIT_S = 1.0

JobCommand = (
    wire.Load
    | wire.Generate
    | wire.SaveSnapshot
    | wire.Calibrate
    | wire.WaitIdle
    | wire.RemoveSnapshot
    | wire.CountTokens
    | wire.ListDevices
    | wire.MeasureKernels
)
"""A command that is carried out; the others concern one that is."""


class Job:
    """A command with the requests that the client may make meanwhile."""

    __slots__ = ("abort", "answer_now_requested", "command")

    def __init__(self, command: JobCommand) -> None:
        self.command = command
        self.abort = AbortFlag()
        self.answer_now_requested = False

    @property
    def is_work(self) -> bool:
        """True if the command uses the model's context, so that idle work must make way for it."""
        return isinstance(self.command, wire.Load | wire.Generate | wire.SaveSnapshot | wire.Calibrate)

    @property
    def is_side_job(self) -> bool:
        """True if the command can be carried out while another one is, in another thread."""
        return isinstance(self.command, wire.CountTokens | wire.ListDevices)


class Inbox:
    """The jobs that arrive: most wait for the main thread, side jobs are carried out in another thread.

    A third thread reads, so that any job can be stopped, even one whose chat template never ends.

    When the client is gone, every job is stopped and the process ends within a second, whatever it is doing.
    Only while it starts, before the first command is taken, does it get more time.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._side_queue: SimpleQueue[Job] | None = None
        self._jobs: dict[int, Job] = {}
        self._idle_flag: AbortFlag | None = None
        self._is_closed = False
        self._lock = Lock()
        self._has_started = Event()

    def start(self) -> None:
        """Start the thread that reads."""
        Thread(target=self._read, name="inbox", daemon=True).start()

    def start_side_thread(self, run_job: Callable[[Job], None]) -> None:
        """Have side jobs carried out in a thread of their own from now on; so far they wait with the others.

        The thread lives as long as the process: what it starts would end with it.
        """
        queue = self._side_queue = SimpleQueue[Job]()

        def run() -> None:
            while True:
                run_job(queue.get())

        Thread(target=run, name="side jobs", daemon=True).start()

    def take(self) -> Job | None:
        """Wait for the next job and return it; None when the client is gone."""
        self._has_started.set()
        return self._queue.get()

    def finish(self, job: Job) -> None:
        """Remove a job that has ended."""
        with self._lock:
            self._jobs.pop(job.command.call_id, None)

    @contextmanager
    def idle(self) -> Iterator[AbortFlag]:
        """Yield a flag that is set as soon as there is a job to do, which may be at once."""
        with self._lock:
            flag = self._idle_flag = AbortFlag()
            if self._is_closed or any(job.is_work for job in self._jobs.values()):
                flag.set()
        yield flag
        with self._lock:
            self._idle_flag = None

    def _read(self) -> None:
        try:
            for line in self._source:
                self._receive(wire.decode_command(line))
        finally:  # the client has ended, or sent a line that is no command
            with self._lock:
                self._is_closed = True
                for job in self._jobs.values():
                    job.abort.set()
                self._interrupt_idle()
            self._queue.put(None)
            self._has_started.wait(_START_TIMEOUT_S)
            time.sleep(_EXIT_GRACE_S)
            os._exit(1)

    def _receive(self, command: wire.AnyWorkerCommand) -> None:
        match command:
            case wire.Cancel(call_id):
                with self._lock:
                    if job_to_stop := self._jobs.get(call_id):
                        job_to_stop.abort.set()
            case wire.EndThinking(call_id):
                with self._lock:
                    if job_to_hurry := self._jobs.get(call_id):
                        job_to_hurry.answer_now_requested = True
            case _:
                self._add(Job(command))

    def _add(self, job: Job) -> None:
        with self._lock:
            self._jobs[job.command.call_id] = job
            if job.is_work:
                self._interrupt_idle()
        queue = self._side_queue if job.is_side_job else None
        (self._queue if queue is None else queue).put(job)

    def _interrupt_idle(self) -> None:
        if self._idle_flag:
            self._idle_flag.set()


class Outbox:
    """The messages to the client, sent from any thread; once nobody reads them, they are dropped."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._lock = Lock()
        self._is_open = True

    def send(self, message: wire.AnyWorkerMessage) -> None:
        """Write a message and flush it."""
        line = wire.encode(message)
        with self._lock:
            self._write(line)

    def send_abort_reason(self, reason: str) -> None:
        """Send the reason why llama.cpp is about to abort the process.

        It is sent even where another thread died while it was writing, and so still holds the lock.
        """
        has_lock = self._lock.acquire(timeout=_MAX_LOCK_WAIT_S)
        self._write(wire.encode(wire.Aborting(reason)))
        if has_lock:
            self._lock.release()

    def _write(self, line: bytes) -> None:
        if not self._is_open:
            return
        try:
            self._target.write(line)
            self._target.flush()
        except OSError:  # the client is gone: the inbox notices that, too, and ends the process
            self._is_open = False
