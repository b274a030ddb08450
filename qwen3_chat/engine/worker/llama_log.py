"""The log of the native library: all of it goes to the worker's log, its errors are stored for the user."""

from __future__ import annotations

import re
from collections import deque

from qwen3_chat.engine.worker.worker_log import WorkerLog

_DEBUG, _ERROR, _CONTINUED = 1, 4, 5  # ggml_log_level in ggml.h; the names in the package are off by one
_LEVEL_LETTERS = {2: "I", 3: "W", 4: "E"}
_KEPT_ERRORS = 8
_PREFIX = re.compile(r"^(?:[\w:~]+: |error loading model[^:]*: )+")
_UNINFORMATIVE_ERRORS = ("failed to load model", "failed to initialize the context")


class LlamaLog:
    """The receiver of the native library's log."""

    def __init__(self, log: WorkerLog) -> None:
        self._log = log
        self._errors: deque[str] = deque(maxlen=_KEPT_ERRORS)
        self._level = _DEBUG
        self._line = ""

    def clear_errors(self) -> None:
        """Forget the errors so far."""
        self._errors.clear()

    def first_error(self) -> str:
        """Return the first informative error, empty where there is none; the others follow from it."""
        for error in self._errors:
            reason = _PREFIX.sub("", error)
            if reason and not reason.startswith(_UNINFORMATIVE_ERRORS):
                return reason
        return self._errors[0] if self._errors else ""

    def receive(self, level: int, data: bytes) -> None:
        """Take a piece of the log, with its level."""
        if level != _CONTINUED:
            self._level = level
        self._line += data.decode(errors="replace")
        *lines, self._line = self._line.split("\n")
        for line in lines:
            if self._level > _DEBUG and line.strip():
                self._log.write(f"{_LEVEL_LETTERS.get(self._level, '-')} {line}")
            if self._level == _ERROR and line.strip():
                self._errors.append(line.strip())
