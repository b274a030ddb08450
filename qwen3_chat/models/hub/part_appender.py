"""The way of a body's bytes into a part: one thread receives them, one writes and one hashes them.

Each takes nearly as long as a fast source needs to send them; in turns they would halve its speed.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import NamedTuple

from qwen3_chat.errors import HubError
from qwen3_chat.models.hub.part_file import PartFile

BUFFER_BYTES, N_BUFFERS = 1 << 20, 16
"""The size of a buffer, and the most that are made: enough for the time that another program has a core."""

SPACE_CHECK_BYTES = 32 << 20
"""The number of bytes between two checks of the free space."""


class _Filled(NamedTuple):
    """A buffer with the number of bytes in it."""

    buffer: bytearray
    n_bytes: int


class PartAppender:
    """An appender to a part, for one thread; `close` must follow.

    Bytes beyond the end of what is missing are dropped.
    """

    def __init__(self, part: PartFile) -> None:
        self._part = part
        self._missing_bytes = part.end_bytes - part.size_bytes
        self._buffer: bytearray | None = None
        self._n_made = 0
        self._free: SimpleQueue[bytearray] = SimpleQueue()
        self._received: SimpleQueue[_Filled | None] = SimpleQueue()
        self._written: SimpleQueue[_Filled | None] = SimpleQueue()
        self._error: HubError | OSError | None = None
        self._flushing: threading.Thread | None = None
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._write, self._hash)]
        for thread in self._threads:
            thread.start()

    def room(self) -> memoryview:
        """Return room for bytes that arrive; it is empty where none are missing, or can't be written."""
        if self._error is not None:
            return memoryview(b"")
        if self._buffer is None:
            if self._free.empty() and self._n_made < N_BUFFERS:
                self._n_made += 1
                self._buffer = bytearray(BUFFER_BYTES)
            else:
                self._buffer = self._free.get()
        return memoryview(self._buffer)[: self._missing_bytes]

    def append(self, n_bytes: int) -> None:
        """Append the first bytes in the room."""
        if self._buffer is not None and n_bytes:
            self._received.put(_Filled(self._buffer, n_bytes))
            self._missing_bytes -= n_bytes
            self._buffer = None

    def close(self) -> None:
        """Wait until what was appended is written and hashed.

        Raises:
            HubError: the disk is full, or the part can't be written or was deleted.
        """
        self._received.put(None)
        for thread in self._threads:
            thread.join()
        if self._flushing is not None:
            self._flushing.join()
        match self._error:
            case OSError() as error:
                raise self._part.cut_after(error) from error
            case HubError() as error:
                raise error

    def _write(self) -> None:
        """Write what was received; after a failure nothing more."""
        at_bytes, checked_bytes = self._part.size_bytes, self._part.size_bytes
        while (filled := self._received.get()) is not None:
            if self._error is not None:
                continue
            try:
                n_written, self._error = self._part.write(
                    at_bytes, memoryview(filled.buffer)[: filled.n_bytes]
                )
                at_bytes += n_written
                self._written.put(_Filled(filled.buffer, n_written))
                if at_bytes - checked_bytes >= SPACE_CHECK_BYTES:
                    checked_bytes = at_bytes
                    self._flush_aside()
                    self._part.check_space()
            except (HubError, OSError) as error:
                self._error = error
        self._written.put(None)

    def _flush_aside(self) -> None:
        if self._flushing is None or not self._flushing.is_alive():
            self._flushing = threading.Thread(target=self._part.flush, daemon=True)
            self._flushing.start()

    def _hash(self) -> None:
        while (written := self._written.get()) is not None:
            self._part.count(memoryview(written.buffer)[: written.n_bytes])
            self._free.put(written.buffer)
