"""The worker's end of the process in which chat templates run: start, requests, limits, end.

A template may run for ever or take all memory, and what holds Python's lock can't be stopped from within. So
it runs in a process that maps no model (`qwen3_chat.template_sandbox`), which is killed at its limit, or as
soon as nobody wants its result, and started again for the next request.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread
from typing import Any, Protocol

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import Cancelled, EngineError
from qwen3_chat.parent_death import bind_child, parent_variables

_MODULE = "qwen3_chat.template_sandbox"
_START_LIMIT_S = 30.0
LIMIT_S = 2.0
"""The time that a template may take; Qwen3's renders a thousand messages in some 20 ms."""
_CHECK_INTERVAL_S = 0.02

_GROWTH, _FREE_CHARACTERS = 4, 1 << 20
"""A prompt has at most so many times the characters of its messages, and so many beyond that."""
_MAX_ANSWER_BYTES = 1 << 28

_KEPT_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "SYSTEMROOT", "TZ")
"""The only environment variables of the process: the others may hold keys."""

_HARMLESS = (ErrorCode.CHAT_TEMPLATE_BROKEN, ErrorCode.CHAT_TEMPLATE_FAILED)
"""The failures after which the process can be asked again."""

StopCheck = Callable[[], bool]
"""A function that returns True once a result is not wanted any more."""


def never_stops() -> bool:
    """Return False: the result is wanted in any case."""
    return False


class TemplateRenderer(Protocol):
    """The interface of what compiles and renders a chat template."""

    def compile(self, source: str, is_stopped: StopCheck = never_stops) -> None:
        """Compile a template, in place of an earlier one.

        Raises:
            EngineError: it is not valid, or needs too much time or memory; `Cancelled` if it was stopped.
        """
        ...

    def render(self, variables: Mapping[str, Any], is_stopped: StopCheck = never_stops) -> str:
        """Render the template.

        Raises:
            EngineError: it failed, or needs too much time or memory; `Cancelled` if it was stopped.
        """
        ...


class TemplateProcess:
    """The renderer that the worker uses: a process for one request at a time, which may come from any thread.

    Linux ends the process with the thread that started it, so that must be one that lives on.
    """

    def __init__(self, python: str = sys.executable, limit_s: float = LIMIT_S) -> None:
        self._python = python
        self._limit_s = limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._source = ""
        self._compiled_source: str | None = None
        """The template that the process has compiled; None before its first answer."""
        self._lock = Lock()

    @property
    def pid(self) -> int | None:
        """The id of the process; None while there is none."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process without waiting for it, so that it is ready when it is needed.

        Raises:
            EngineError: the system can't start it.
        """
        if self._process is None:
            try:
                self._process = _start(self._python)
            except OSError as error:
                reason = error.strerror or error
                raise EngineError(ErrorCode.CHAT_TEMPLATE_CRASHED, reason=reason) from error

    def compile(self, source: str, is_stopped: StopCheck = never_stops) -> None:
        """Compile a template; see `TemplateRenderer`."""
        with self._reserved(is_stopped):
            self._source = source
            self._prepare(is_stopped)

    def render(self, variables: Mapping[str, Any], is_stopped: StopCheck = never_stops) -> str:
        """Render the template; see `TemplateRenderer`."""
        with self._reserved(is_stopped):
            self._prepare(is_stopped)
            return self._request(render_request(variables), is_stopped)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._discard()

    @contextmanager
    def _reserved(self, is_stopped: StopCheck) -> Iterator[None]:
        """Wait for the request of another thread; end the process unless it has answered what was asked."""
        while not self._lock.acquire(timeout=_CHECK_INTERVAL_S):
            if is_stopped():
                raise Cancelled(ErrorCode.REPLY_CANCELLED)
        has_answered = False
        try:
            yield
            has_answered = True
        except EngineError as error:
            has_answered = error.code in _HARMLESS
            raise
        finally:
            if not has_answered:
                self._discard()
            self._lock.release()

    def _prepare(self, is_stopped: StopCheck) -> None:
        """Have the template compiled in a process that runs."""
        self.start()
        if self._compiled_source is None:  # its start takes time, too, but not the template's
            self._request(compile_request(""), is_stopped, _START_LIMIT_S)
        if self._compiled_source != self._source:
            self._request(compile_request(self._source), is_stopped)
            self._compiled_source = self._source

    def _request(self, line: bytes, is_stopped: StopCheck, limit_s: float | None = None) -> str:
        process = self._process
        assert process is not None
        with _Guard(process, is_stopped, limit_s or self._limit_s) as guard:
            answer = _exchange(process, line)
        if answer.endswith(b"\n") and guard.verdict is None:
            return read_answer(answer)
        if guard.verdict is not None:
            raise guard.verdict
        raise EngineError(ErrorCode.CHAT_TEMPLATE_CRASHED, reason=f"exit status {process.wait()}")

    def _discard(self) -> None:
        process, self._process, self._compiled_source = self._process, None, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.kill()
        with suppress(OSError):  # what is still to be written
            process.stdin.close()
        process.stdout.close()
        process.wait()


def compile_request(source: str) -> bytes:
    """Return the request to compile a template, in ASCII, which carries half a character too."""
    return json.dumps({"source": source}).encode("ascii") + b"\n"


def render_request(variables: Mapping[str, Any]) -> bytes:
    """Return the request to render the template, with the most characters that it may make of the variables.

    Raises:
        RecursionError: the variables are nested too deeply.
    """
    encoded = json.dumps(variables)
    max_characters = _GROWTH * len(encoded) + _FREE_CHARACTERS
    return f'{{"variables": {encoded}, "max_characters": {max_characters}}}\n'.encode("ascii")


def read_answer(line: bytes) -> str:
    """Return the text of an answer, which is checked: the process may be anybody's by now.

    Raises:
        EngineError: the answer tells a failure, or makes no sense.
    """
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        answer = None
    match answer:
        case {"text": str(text)}:
            return text
        case {"failure": "too_large"}:
            raise EngineError(ErrorCode.CHAT_TEMPLATE_TOO_LARGE)
        case {"failure": "broken", "reason": str(reason)}:
            raise EngineError(ErrorCode.CHAT_TEMPLATE_BROKEN, reason=reason)
        case {"failure": "refused", "reason": str(reason)}:
            raise EngineError(ErrorCode.CHAT_TEMPLATE_FAILED, reason=reason)
        case _:
            raise EngineError(ErrorCode.CHAT_TEMPLATE_CRASHED, reason=line[:40].decode(errors="replace"))


class _Guard:
    """A thread that kills the process when its time is over or nobody wants the result; then with a verdict.

    Only a thread can do that everywhere: not every system can wait for a pipe with a limit.
    """

    def __init__(self, process: subprocess.Popen[bytes], is_stopped: StopCheck, limit_s: float) -> None:
        self.verdict: EngineError | None = None
        self._process = process
        self._is_stopped = is_stopped
        self._limit_s = limit_s
        self._is_done = Event()
        self._thread = Thread(target=self._watch, name="template", daemon=True)

    def __enter__(self) -> _Guard:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_done.set()
        self._thread.join()

    def _watch(self) -> None:
        deadline_s = time.monotonic() + self._limit_s
        while not self._is_done.wait(_CHECK_INTERVAL_S):
            if self._is_stopped():
                self.verdict = Cancelled(ErrorCode.REPLY_CANCELLED)
            elif time.monotonic() > deadline_s:
                self.verdict = EngineError(ErrorCode.CHAT_TEMPLATE_TOO_SLOW, seconds=f"{self._limit_s:g}")
            else:
                continue
            self._process.kill()
            return


def _start(python: str) -> subprocess.Popen[bytes]:
    kept = {name: value for name in _KEPT_VARIABLES if (value := os.environ.get(name)) is not None}
    process = subprocess.Popen(
        [python, "-P", "-X", "utf8", "-m", _MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a traceback may quote the chat
        env=kept | parent_variables(),
    )
    bind_child(process.pid)
    return process


def _exchange(process: subprocess.Popen[bytes], line: bytes) -> bytes:
    """Write a request and return the answer, incomplete where the process ended meanwhile."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(line)
        process.stdin.flush()
        return process.stdout.readline(_MAX_ANSWER_BYTES)
    except OSError:
        return b""
