"""Runs of pip: output in a log, progress on screen, Ctrl+C that leaves no process behind."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from pip_progress import ProgressLine, Step, parse_step

_REDRAW_S = 0.25
_TERMINATE_TIMEOUT_S = 10
_LINE_LENGTH = 200  # a compiler's whole command helps nobody
_NETWORK = re.compile(
    r"NewConnectionError|ConnectTimeoutError|NameResolutionError|ReadTimeoutError|ProxyError|name resolution"
    r"|Could not fetch URL|CERTIFICATE_VERIFY_FAILED|Network is unreachable"
)
_FULL_DISK = re.compile(r"No space left on device|not enough space on the disk")
_NO_MEMORY = re.compile(
    r"Killed signal terminated program|out of memory|virtual memory exhausted", re.IGNORECASE
)
_ERROR_LINE = re.compile(r"\berror\b|FAILED|fatal|not found|No space left|Killed", re.IGNORECASE)
# pip prints these on every failure alike
_NOISE = re.compile(
    r"subprocess-exited-with-error|This error originates|finished with status|Failed to build|Retrying \("
)

StepSink = Callable[[Step | None], None]
"""A function that takes each step as it begins."""


class PipFailed(Exception):
    """Pip ended with an error; `lines` is all that it printed."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__()
        self.lines = lines

    @property
    def key(self) -> str:
        """The key of the text with the reason, as far as the output shows one."""
        text = "\n".join(self.lines)
        if _FULL_DISK.search(text):
            return "scripts.failed.disk"
        if _NO_MEMORY.search(text):
            return "scripts.failed.memory"
        if _NETWORK.search(text):
            return "scripts.failed.network"
        return "scripts.failed.other"


def error_lines(lines: Sequence[str], count: int = 8) -> list[str]:
    """Return the last lines that mention an error, or the last lines where none does."""
    filled = [line.rstrip() for line in lines if line.strip()]
    errors = [line for line in filled if _ERROR_LINE.search(line) and not _NOISE.search(line)]
    return [line[:_LINE_LENGTH] for line in dict.fromkeys(errors or filled)][-count:]


def pip_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return pip's variables: the user's, except those that cannot work inside a virtual environment."""
    dropped = {"PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "__PYVENV_LAUNCHER__"}
    passed = {name: value for name, value in environ.items() if name not in dropped}
    fixed = {
        "PIP_USER": "0",
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_PROGRESS_BAR": "off",
    }
    return {**passed, **fixed, "PYTHONUNBUFFERED": "1", "NINJA_STATUS": "[%f/%t] "}


def run_pip(
    python: Path,
    arguments: Sequence[str],
    log: TextIO,
    environ: Mapping[str, str],
    on_step: StepSink = lambda step: None,
) -> None:
    """Run `pip ARGUMENTS` to its end; see `run_with_progress`.

    Raises:
        PipFailed: pip ended with an error.
        KeyboardInterrupt: it was stopped.
    """
    run_with_progress([str(python), "-m", "pip", *arguments, "--verbose"], log, environ, on_step)


def run_with_progress(
    command: Sequence[str],
    log: TextIO,
    environ: Mapping[str, str],
    on_step: StepSink = lambda step: None,
) -> None:
    """Run pip, CMake or a program that reports like them; raise as `run_pip` does.

    Each step goes to `on_step`, and None a few times a second while there is none.
    """
    print("$", *command, file=log, flush=True)
    lines: list[str] = []
    with (
        _stop_signals_as_interrupts(),
        ProgressLine(sys.stderr) as progress,
        _start_process(command, environ) as process,
    ):
        for line in _lines_or_pauses(process):
            if line is None:
                progress.show()
                on_step(None)
                continue
            log.write(line)
            log.flush()
            lines.append(line)
            step = parse_step(line)
            progress.show(step)
            on_step(step)
    if process.returncode:
        raise PipFailed(lines)


@contextmanager
def _start_process(command: Sequence[str], environ: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    # a session of its own, so that Ctrl+C reaches pip once, from here, together with its compilers
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=pip_environment(environ),
        start_new_session=True,
        encoding="utf-8",
        errors="replace",
    )
    try:
        yield process
        process.wait()
    finally:
        if process.poll() is None:
            _terminate(process)


def _terminate(process: subprocess.Popen[str]) -> None:
    """Interrupt pip so that it can clean up, and kill it after a timeout."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False)
        process.wait()
        return
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_TERMINATE_TIMEOUT_S)
            return


def _lines_or_pauses(process: subprocess.Popen[str]) -> Iterator[str | None]:
    """Yield each line of output, and None whenever there was none for a moment."""
    assert process.stdout is not None
    output: TextIO = process.stdout  # type: ignore[assignment]
    arrived: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in output:
            arrived.put(line)
        arrived.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = arrived.get(timeout=_REDRAW_S)
        except queue.Empty:
            yield None
            continue
        if line is None:
            return
        yield line


@contextmanager
def _stop_signals_as_interrupts() -> Iterator[None]:
    """Treat a closed terminal and a polite kill like Ctrl+C while pip runs."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    replaced = [number for number in numbers if before[number] == signal.SIG_DFL]  # nohup stays nohup
    for number in replaced:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in replaced:
            signal.signal(number, before[number])
