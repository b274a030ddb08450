"""stdin, stdout and stderr, whatever the caller made of them: closed, of another encoding, no terminal."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import TextIOWrapper


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


def is_interactive() -> bool:
    """Return True if stdin and stdout are a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


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
