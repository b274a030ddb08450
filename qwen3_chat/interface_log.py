"""The log of the interface's process: its starts and ends, and failures that nobody foresaw."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from qwen3_chat.log_file import MAX_LOG_BYTES, failure_lines, failure_name, log_line, open_log
from qwen3_chat.texts import t

REPEAT_S = 60.0
"""The time for which a traceback that was written is only counted when it occurs again."""
MAX_PER_PERIOD = 30
"""The different tracebacks that are written within `REPEAT_S`."""


class _Occurrences(Struct):
    """A traceback that was written lately, and how often it occurred since."""

    written_s: float
    n_unwritten: int = 0


class InterfaceLog:
    """A log that is opened for each entry: entries are rare, and another process may rotate the file.

    No text of a chat is ever written to it. A log that can't be written prevents nothing.
    """

    def __init__(
        self, path: Path, clock: Callable[[], float] = time.monotonic, max_bytes: int = MAX_LOG_BYTES
    ) -> None:
        self.path = path
        self._clock = clock
        self._max_bytes = max_bytes
        self._lock = threading.RLock()  # a destructor that fails during a write is an entry of its own
        self._recent: dict[str, _Occurrences] = {}

    def write(self, *lines: str) -> bool:
        """Write lines; return False if that was impossible."""
        with self._lock:
            try:
                descriptor = open_log(self.path, self._max_bytes)
            except OSError:
                return False
            try:
                os.write(descriptor, b"".join(map(log_line, lines)))
            except OSError:
                return False
            finally:
                os.close(descriptor)
            return True

    def write_failure(self, error: BaseException) -> Path | None:
        """Write the traceback of an error; return the file that tells it, None where that was impossible.

        The same traceback is written once in `REPEAT_S`; further occurrences are counted.
        """
        lines = failure_lines(error)
        trace = "\n".join(lines)
        with self._lock:
            now_s = self._clock()
            known = self._recent.get(trace)
            if known and now_s - known.written_s < REPEAT_S:
                known.n_unwritten += 1
                return self.path
            self._write_counts(now_s)
            if len(self._recent) >= MAX_PER_PERIOD or not self.write(*lines):
                return None
            self._recent[trace] = _Occurrences(now_s)
            return self.path

    def flush(self) -> None:
        """Write how often the tracebacks occurred that were only counted."""
        with self._lock:
            self._write_counts(float("inf"))

    def _write_counts(self, now_s: float) -> None:
        """Forget the tracebacks of earlier periods, with a line for each that occurred again."""
        for trace, known in list(self._recent.items()):
            if now_s - known.written_s >= REPEAT_S:
                del self._recent[trace]
                if known.n_unwritten:
                    self.write(f"{trace.splitlines()[-1]}, {known.n_unwritten} more times")

    @contextmanager
    def stray_failures(self) -> Iterator[None]:
        """Write the failures of threads, destructors and tasks that nobody awaits, while the context is open.

        The context belongs to the running event loop. Otherwise Python would print these on stderr.
        """
        loop = asyncio.get_running_loop()
        thread_hook, destructor_hook = threading.excepthook, sys.unraisablehook
        loop_handler = loop.get_exception_handler()
        threading.excepthook = lambda args: self._write_stray(args.exc_value)
        sys.unraisablehook = lambda args: self._write_stray(args.exc_value)
        loop.set_exception_handler(self._write_loop_failure)
        try:
            yield
        finally:
            threading.excepthook, sys.unraisablehook = thread_hook, destructor_hook
            loop.set_exception_handler(loop_handler)

    def _write_stray(self, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, SystemExit):
            self.write_failure(error)

    def _write_loop_failure(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None:
            self.write_failure(error)
        else:  # the message may end with the representation of a call, which quotes its arguments
            self.write(f"asyncio: {str(context.get('message')).partition('<')[0]}")


def describe_failure_in(task: str, error: BaseException, log_path: Path | None) -> str:
    """Return the sentence for a failure that nobody foresaw, naming the log if its traceback is there."""
    values = {"task": task, "error": failure_name(error)}
    if log_path is None:
        return t("unforeseen.not_logged", **values)
    return t("unforeseen.logged", **values, path=log_path)
