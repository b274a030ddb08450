"""The way back to the client: one line for each reply."""

from __future__ import annotations

from threading import Lock
from typing import BinaryIO

from qwen3_chat.engine import wire

_LONGEST_WAIT_S = 1.0


class Outbox:
    """Writes replies from any thread; once nobody reads them, they are dropped."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._lock = Lock()
        self._is_open = True

    def send(self, reply: wire.AnyReply) -> None:
        """Write a reply and see it off."""
        line = wire.encode(reply)
        with self._lock:
            self._write(line)

    def send_last_words(self, reason: str) -> None:
        """Say why llama.cpp is about to abort the process, even where a thread died while it was writing."""
        has_lock = self._lock.acquire(timeout=_LONGEST_WAIT_S)
        self._write(wire.encode(wire.Aborting(reason)))
        if has_lock:
            self._lock.release()

    def _write(self, line: bytes) -> None:
        if not self._is_open:
            return
        try:
            self._target.write(line)
            self._target.flush()
        except OSError:  # the client is gone: the inbox sees that too, and ends the process
            self._is_open = False
