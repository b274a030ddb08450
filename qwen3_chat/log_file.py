"""Log files that only their owner may read, and failures written so that they quote nothing of a chat."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import CodeType, TracebackType

from qwen3_chat.errors import Qwen3ChatError

MAX_LOG_BYTES = 1_000_000
MAX_FRAMES = 40
"""The frames of a traceback that are written: half from its beginning, half from its end."""
MAX_CHAINED = 10
"""The errors that are written for one failure: itself, its causes and the members of a group."""
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def open_log(path: Path, max_bytes: int = MAX_LOG_BYTES) -> int:
    """Open a log to append to it, with mode 0600; return its file descriptor.

    A file over `max_bytes` becomes `<name>.1` first. Processes that still write to that one lose nothing.

    Raises:
        OSError: the log can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if path.stat().st_size > max_bytes:
            _rotate(path)
    descriptor = os.open(path, _FLAGS, 0o600)
    if sys.platform != "win32":  # where a file in a user's folder is private
        try:  # by its descriptor: another process may have renamed it meanwhile
            if stat.S_ISREG(os.fstat(descriptor).st_mode):  # a device such as /dev/null belongs to everybody
                os.fchmod(descriptor, 0o600)
        except OSError:
            os.close(descriptor)
            raise
    return descriptor


def _rotate(path: Path) -> None:
    """Rename a full log, unless another process does it: only one of them may replace `<name>.1`."""
    archive = path.with_name(f"{path.name}.1")
    try:
        if sys.platform == "win32":
            path.replace(archive)  # fails while another process has the file open, which is as good as a lock
            return
        import fcntl

        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                path.replace(archive)
        finally:
            os.close(descriptor)
    except OSError:
        return  # the log grows until the next attempt


def log_line(text: str) -> bytes:
    """Return a line of a log, with the time and the id of this process."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"{stamp} [{os.getpid()}] {text.rstrip()}\n".encode(errors="replace")


def failure_lines(error: BaseException) -> list[str]:
    """Return the traceback of an error as lines, the causes first.

    An error's message may quote a chat, and so may its notes, its arguments and the local variables: none of
    them is included, only the places in the code and `failure_name`.
    """
    errors: list[tuple[str, BaseException]] = []
    waiting: list[tuple[str, BaseException]] = [("", error)]
    while waiting and len(errors) < MAX_CHAINED:
        relation, current = waiting.pop()
        if any(current is known for _, known in errors):
            continue
        errors.append((relation, current))
        if isinstance(current, BaseExceptionGroup):
            waiting += [("one of a group:", member) for member in reversed(current.exceptions)]
        if current.__cause__ is not None:
            waiting.append(("the cause:", current.__cause__))
        elif current.__context__ is not None and not current.__suppress_context__:
            waiting.append(("while this was handled:", current.__context__))
    lines = []
    for relation, current in reversed(errors):
        lines += [relation] if relation else []
        lines += _frame_lines(current.__traceback__)
        lines.append(f"E {failure_name(current)}")
    return lines


def failure_name(error: BaseException) -> str:
    """Return the type of an error, with the facts of it that can't quote a chat."""
    name = type(error).__name__
    match error:
        case Qwen3ChatError(code=code):
            return f"{name}: {code}"
        case OSError(errno=int(number)):
            return f"{name}: {errno.errorcode.get(number, number)}, {os.strerror(number)}"
        case UnicodeEncodeError(start=start, end=end) | UnicodeDecodeError(start=start, end=end):
            return f"{name}: {start} to {end}"
        case _ if type(error).__module__ == "sqlite3":
            return f"{name}: {getattr(error, 'sqlite_errorname', 'no code')}"
        case _:
            return name


def _frame_lines(trace: TracebackType | None) -> list[str]:
    frames = []
    while trace is not None:
        code = trace.tb_frame.f_code
        column = _column(code, trace.tb_lasti)
        frames.append(f"  {code.co_filename}:{trace.tb_lineno}{column} in {code.co_qualname}")
        trace = trace.tb_next
    if (n_omitted := len(frames) - MAX_FRAMES) > 0:
        half = MAX_FRAMES // 2
        frames[half:-half] = [f"  … {n_omitted} more …"]
    return frames


def _column(code: CodeType, instruction: int) -> str:
    """Return the column of an instruction, which tells the attribute or the call that failed in a line."""
    positions: Iterator[tuple[int | None, int | None, int | None, int | None]] = islice(
        code.co_positions(), instruction // 2, None
    )
    _, _, column, _ = next(positions, (None, None, None, None))
    return "" if column is None else f":{column + 1}"
