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

ShortCommand = wire.CountTokens | wire.ListDevices | wire.WaitIdle | wire.RemoveSnapshot
"""A command that is carried out at once, where a job takes a while."""


class Job:
    """A command that takes a while, with the requests that the client may make meanwhile."""

    __slots__ = ("abort", "answer_now_requested", "command")

    def __init__(self, command: wire.Load | wire.Generate | wire.SaveSnapshot | wire.Calibrate) -> None:
        self.command = command
        self.abort = AbortFlag()
        self.answer_now_requested = False


class Inbox:
    """The commands that arrive: jobs wait for the main thread, short commands are carried out at once.

    When the client is gone, every job is stopped and the process ends within a second, whatever it is doing.
    Only while it starts, before the first command is taken, does it get more time.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._queue: SimpleQueue[Job | ShortCommand | None] = SimpleQueue()
        self._jobs: dict[int, Job] = {}
        self._idle_flag: AbortFlag | None = None
        self._is_closed = False
        self._lock = Lock()
        self._has_started = Event()
        self.on_short_command: Callable[[ShortCommand], None] | None = None
        """The handler of commands that need no turn in the queue; without it they wait there."""

    def start(self) -> None:
        """Start the thread that reads."""
        Thread(target=self._read, name="inbox", daemon=True).start()

    def take(self) -> Job | ShortCommand | None:
        """Wait for the next command and return it; None when the client is gone."""
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
            if self._jobs or self._is_closed:
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
            case wire.Load() | wire.Generate() | wire.SaveSnapshot() | wire.Calibrate():
                job = Job(command)
                with self._lock:
                    self._jobs[command.call_id] = job
                    self._interrupt_idle()
                self._queue.put(job)
            case wire.WaitIdle() | wire.RemoveSnapshot():
                self._queue.put(command)
            case wire.CountTokens() | wire.ListDevices():
                if self.on_short_command is None:
                    self._queue.put(command)
                else:
                    self.on_short_command(command)
            case wire.Cancel(call_id):
                with self._lock:
                    if job_to_stop := self._jobs.get(call_id):
                        job_to_stop.abort.set()
            case wire.EndThinking(call_id):
                with self._lock:
                    if job_to_hurry := self._jobs.get(call_id):
                        job_to_hurry.answer_now_requested = True

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
