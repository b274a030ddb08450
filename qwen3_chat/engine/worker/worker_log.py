"""The worker's log file, to which its file descriptors 1 and 2 are redirected.

Apart from the log of llama.cpp: this one is written before llama_cpp may be imported.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from threading import Lock

from qwen3_chat.log_file import MAX_LOG_BYTES, failure_lines, log_line, open_log

_STDOUT, _STDERR = 1, 2


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
        with self._lock, contextlib.suppress(OSError):  # a full disk must not end a chat
            os.write(_STDERR, log_line(text))
            if os.fstat(_STDERR).st_size > self._max_bytes:
                self._open()

    def write_failure(self, error: BaseException) -> None:
        """Write the traceback of an error, without its message: that may quote a chat."""
        for line in failure_lines(error):
            self.write(line)

    def _open(self) -> None:
        try:
            descriptor = open_log(self._path, self._max_bytes)
        except OSError:
            descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, _STDOUT)
        os.dup2(descriptor, _STDERR)
        os.close(descriptor)
