"""What a client of the engine's process is waiting for, to be cancelled."""

from __future__ import annotations

from qwen3_chat.engine import wire
from qwen3_chat.engine.process import Call, WorkerProcess


class Running:
    """Something that goes on and may be cancelled, also while its command is yet to be sent."""

    def __init__(self, all_running: set[Running]) -> None:
        self.is_cancelled = False
        self._all_running = all_running
        self._worker: WorkerProcess | None = None
        self._call: Call | None = None

    def __enter__(self) -> Running:
        self._all_running.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._all_running.discard(self)

    def attach(self, worker: WorkerProcess, call: Call) -> None:
        """Note the call that it consists of now."""
        self._worker, self._call = worker, call
        if self.is_cancelled:
            self.cancel()

    def detach(self) -> None:
        """Note that the call is over."""
        self._worker = self._call = None

    def cancel(self) -> None:
        """Stop it, now or as soon as it has begun."""
        self.is_cancelled = True
        if self._worker and self._call:
            self._worker.send(wire.Cancel(self._call.call_id))

    def end_thinking(self) -> None:
        """Have the reply stop thinking and answer now."""
        if self._worker and self._call:
            self._worker.send(wire.EndThinking(self._call.call_id))
