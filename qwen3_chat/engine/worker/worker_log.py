"""The worker's log file, to which its file descriptors 1 and 2 are redirected.

Apart from the log of llama.cpp: this one is written before llama_cpp may be imported.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from pathlib import Path
from threading import Lock

MAX_LOG_BYTES = 1_000_000
_STDOUT, _STDERR = 1, 2
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND


class WorkerLog:
    """A log that only its owner may read; at `max_bytes` it becomes `<name>.1` and a new file begins.

    Nothing of what is said in a chat is ever written to it.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_LOG_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._lock = Lock()

    def redirect_output(self) -> None:
        """Redirect everything that this process prints, from Python or C, to the log."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._open()

    def write(self, text: str) -> None:
        """Write a line with the time and the id of this process."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        line = f"{stamp} [{os.getpid()}] {text.rstrip()}\n".encode(errors="replace")
        with self._lock, contextlib.suppress(OSError):  # a full disk must not end a chat
            os.write(_STDERR, line)
            if os.fstat(_STDERR).st_size > self._max_bytes:
                self._open()

    def write_failure(self, error: BaseException) -> None:
        """Write the traceback of an error, without its message: that may quote a chat."""
        for frame in traceback.extract_tb(error.__traceback__):
            self.write(f"  {frame.filename}:{frame.lineno} in {frame.name}")
        self.write(f"E {type(error).__name__}")

    def _open(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and self._path.stat().st_size > self._max_bytes:
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            descriptor = os.open(self._path, _FLAGS, 0o600)
            self._path.chmod(0o600)
        except OSError:
            descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, _STDOUT)
        os.dup2(descriptor, _STDERR)
        os.close(descriptor)
