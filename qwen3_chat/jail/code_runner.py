"""The interpreter in the jail: runs code as a notebook does, and sends what it prints as it comes.

Only the standard library is imported here, and nothing that starts a thread.
"""

from __future__ import annotations

import ast
import io
import json
import linecache
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from types import ModuleType, TracebackType
from typing import Any, Final

MAX_CODE_CHARS: Final = 200_000
"""The longest code, in characters."""

MAX_OUTPUT_CHARS: Final = 100_000
"""The most characters that are sent of what one run prints; the rest is counted only."""

MAX_REPR_CHARS: Final = 20_000
"""The longest representation of a value that is sent, in characters."""

MAX_TRACE_CHARS: Final = 4_000
"""The longest report of an error, in characters."""

_PIECE_CHARS: Final = 16_000

Send = Callable[[Mapping[str, object]], None]
"""A function that sends one message, an object of JSON."""


class CodeRunner:
    """An interpreter whose variables live from one piece of code to the next."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._count = 0
        self._module = ModuleType("__main__")
        sys.modules["__main__"] = self._module
        self._output = _Output(send)
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(self._output), "utf-8", "backslashreplace", line_buffering=True
        )
        sys.stderr = sys.stdout
        sys.stdin = io.StringIO()

    def run(self, code: str) -> None:
        """Run code; send what it prints, then the value of its last expression, or how it failed."""
        self._count += 1
        name = f"<code {self._count}>"
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        self._output.begin()
        value, error = "", ""
        try:
            value = _shortened(self._value_of(code, name), MAX_REPR_CHARS)
        except SystemExit as end:
            error = "" if end.code in (None, 0) else f"SystemExit: {end.code}"
        except BaseException as failure:  # whatever the code raises is its result
            error = _shortened(_report(failure, name), MAX_TRACE_CHARS)
        try:
            sys.stdout.flush()
        except Exception as failure:  # the code may have put anything there
            error = error or f"{type(failure).__name__}: sys.stdout"
        self._send({"value": value, "error": error, "dropped": self._output.n_dropped})

    def _value_of(self, code: str, name: str) -> str:
        tree = ast.parse(code, name)
        variables = self._module.__dict__
        last = tree.body[-1] if tree.body else None
        if not isinstance(last, ast.Expr):
            exec(compile(tree, name, "exec"), variables)
            return ""
        del tree.body[-1]
        exec(compile(tree, name, "exec"), variables)
        value = eval(compile(ast.Expression(last.value), name, "eval"), variables)
        if value is None:
            return ""
        variables["_"] = value
        return repr(value)


class _Output(io.RawIOBase):
    """The output of the code, sent as it comes."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._n_left = 0
        self.n_dropped = 0

    def begin(self) -> None:
        self._n_left, self.n_dropped = MAX_OUTPUT_CHARS, 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        text = bytes(data).decode("utf-8", "replace")
        sent = text[: self._n_left]
        self._n_left -= len(sent)
        self.n_dropped += len(text) - len(sent)
        for start in range(0, len(sent), _PIECE_CHARS):
            self._send({"output": sent[start : start + _PIECE_CHARS]})
        return len(data)


def _report(failure: BaseException, name: str) -> str:
    """Return a traceback that begins in the code, not in this module."""
    trace: TracebackType | None = failure.__traceback__
    while trace is not None and not trace.tb_frame.f_code.co_filename.startswith("<code "):
        trace = trace.tb_next
    try:
        return "".join(traceback.format_exception(type(failure), failure, trace)).strip()
    except Exception:  # its own text may fail
        return type(failure).__name__


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit // 2]}…{text[-(limit // 2) :]}"


def serve_requests(requests: io.BufferedReader, channel: int) -> None:
    """Run the code of each request, one JSON object a line, until the input ends; answer on a descriptor."""

    def send(message: Mapping[str, object]) -> None:
        data = memoryview(json.dumps(message).encode() + b"\n")
        while data:
            data = data[os.write(channel, data) :]

    runner = CodeRunner(send)
    send({"ready": True})
    while line := requests.readline():
        runner.run(json.loads(line)["code"])
