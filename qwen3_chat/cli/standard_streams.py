"""stdin, stdout and stderr, whatever the caller made of them: closed, of another encoding, no terminal."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO

OFF_VALUES = ("", "0", "false", "no")


def repair_streams() -> None:
    """Open the streams that the caller closed, and let neither input nor output fail for its characters.

    A closed stream would be None; and its descriptor would go to the next file that is opened, the store of
    the chats perhaps, into which a library would then print.
    """
    _reopen("stdin", 0, os.O_RDONLY)
    _reopen("stdout", 1, os.O_RDONLY)  # so that writing fails, as it does for every program
    _reopen("stderr", 2, os.O_WRONLY)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


BROWSER_VARIABLE = "QWEN3_CHAT_IN_BROWSER"
"""The environment variable by which `qwen3-chat web` tells the app that its streams lead to a browser."""


def lead_to_browser() -> bool:
    """Return True if the streams lead to a browser; programs that are started from here are not told."""
    return os.environ.pop(BROWSER_VARIABLE, "") == "1"


def is_interactive() -> bool:
    """Return True if stdin and stdout are a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def wants_plain_chat(environ: Mapping[str, str], *, is_interactive: bool) -> bool:
    """Return True if the user asked for plain lines, or has a terminal that shows nothing else.

    Other tools read `ACCESSIBLE` as well.
    """
    is_asked_for = environ.get("ACCESSIBLE", "").lower() not in OFF_VALUES
    return is_asked_for or (is_interactive and environ.get("TERM") == "dumb")


def discard_typed_input() -> None:
    """Discard the lines that were typed and not read yet, where stdin is a terminal."""
    if sys.platform == "win32":
        import msvcrt

        while msvcrt.kbhit():
            msvcrt.getwch()
        return
    import termios

    with suppress(termios.error, OSError, ValueError):
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


def can_ask() -> bool:
    """Return True if a question on stderr is seen and answered by a person, wherever stdout goes."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def read_line(prompt: str, output: TextIO) -> str | None:
    """Read a line in the foreground, so that no output comes between the prompt and the typed line.

    Return None for Ctrl+C or the end of the input.
    """
    # asyncio's own handler would only cancel a task, which can't run while a line is read.
    previous_handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if output is sys.stdout:
            return input(prompt)
        print(prompt, end="", file=output, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.rstrip("\n")
    except (EOFError, KeyboardInterrupt):
        print(file=output, flush=True)
        return None
    finally:
        signal.signal(signal.SIGINT, previous_handler)


def read_new_line(prompt: str, output: TextIO) -> str | None:
    """Read a line that is typed from now on: one typed before was no answer to this prompt."""
    discard_typed_input()
    return read_line(prompt, output)


def discard_output() -> None:
    """Point stdout at nothing, because Python would try to flush it once more as it exits."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _reopen(name: str, number: int, flags: int) -> None:
    """Open nothing as the stream `name` if it is closed, under its own descriptor if that is free."""
    if getattr(sys, name) is not None:
        return
    descriptor = os.open(os.devnull, flags)
    try:
        os.fstat(number)
    except OSError:
        os.dup2(descriptor, number)
    if descriptor != number:
        os.close(descriptor)
    stream = open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process lives
    setattr(sys, name, stream)
    setattr(sys, f"__{name}__", stream)
