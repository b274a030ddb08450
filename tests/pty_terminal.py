"""A terminal of the test's own, byte by byte: a pseudo-terminal with the program as its only job."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY, WAIT_LIMIT_S

COLUMNS, ROWS = 100, 30
WRITE_BYTES = 1024
POLL_S = 0.05

MODES = {b"1049", b"1000", b"1003", b"1015", b"1006", b"1004", b"2004", b"2048", b"1016"}
"""The modes of the terminal that the app turns on and must turn off."""
TAKE_SCREEN = b"\x1b[?1049h"
_MODE_CHANGE = re.compile(rb"\x1b\[\?(\d+)([hl])")
_OWN_OUTPUT = re.compile(
    rb"\x1b\[[\d;]*m|\x1b\[\d+;\d+H|\x1b\[\?\d+[hl]|\x1b\[\?\d+\$p|\x1b\[>\d+u|\x1b\[<u"
    rb"|\x1b\[2[23];2t|\x1b\](?:2|9|777);[^\x00-\x1f\x7f]*\x07"
    rb"|\x1b\]22;[a-z-]*\x07|\x1b\]52;c;[A-Za-z0-9+/=]*\x07|\x07|\r?\n"
)
"""Every sequence that the app writes: colours, positions, modes, title, signals, pointer, clipboard."""
_OF_OTHERS = re.compile(rb"(?<=\x1b\[\?1049l).*?(?=\x1b\[\?1049h)", re.DOTALL)
_RAW = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]")


def drawn_text(output: bytes) -> str:
    """Return what the app wrote without what steers the terminal."""
    return _OWN_OUTPUT.sub(b"", output).decode(errors="replace")


class PtyTerminal:
    """A program in a pseudo-terminal, which it controls."""

    def __init__(
        self, process: subprocess.Popen[bytes], screen_end: int, program_end: int, modes_before: list[Any]
    ) -> None:
        self.process, self._screen_end, self._program_end = process, screen_end, program_end
        self.modes_before = modes_before
        self.output = bytearray()

    def modes_of_line(self) -> list[Any]:
        """Return the settings of the terminal's line: echo, signals, lines."""
        return termios.tcgetattr(self._program_end)

    @property
    def is_raw(self) -> bool:
        """True while keys reach the program one by one."""
        return not self.modes_of_line()[3] & termios.ICANON

    def read(self, duration_s: float = POLL_S) -> None:
        """Read what the program writes, for some time at most."""
        if select.select([self._screen_end], [], [], duration_s)[0]:
            with suppress(OSError):
                self.output += os.read(self._screen_end, 65_536)

    def type(self, data: bytes) -> None:
        """Send bytes as a terminal does, in pieces, reading meanwhile."""
        while data:
            if select.select([], [self._screen_end], [], POLL_S)[1]:
                data = data[os.write(self._screen_end, data[:WRITE_BYTES]) :]
            self.read(0)

    def unread_bytes(self) -> int:
        """Return how many typed bytes the program has not read yet."""
        (count,) = struct.unpack("i", fcntl.ioctl(self._program_end, termios.FIONREAD, b"\0" * 4))
        return int(count)

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size, of which the system tells the program."""
        fcntl.ioctl(self._program_end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, holds: Callable[[], object], limit_s: float = WAIT_LIMIT_S) -> bool:
        """Read until a condition holds; return False if the program ends or the patience does."""
        deadline_s = time.monotonic() + limit_s
        while not holds():
            if time.monotonic() > deadline_s or self.has_ended():
                return bool(holds())
            self.read()
        return True

    def shows(self, text: str, since: int = 0) -> bool:
        """Return True if a text was drawn, after so many bytes of output."""
        return text in drawn_text(bytes(self.output[since:]))

    def shows_since_taken(self, text: str, since: int) -> bool:
        """Return True if a text was drawn after the program last took the screen, if it did so since then.

        What a stopped program still had to write is read after it is continued, before it takes the screen.
        """
        taken = self.output.rfind(TAKE_SCREEN, since)
        return taken >= 0 and self.shows(text, taken)

    def has_ended(self) -> bool:
        """Return True once the program has ended and its output is read."""
        if self.process.poll() is None:
            return False
        length = -1
        while length != len(self.output):
            length = len(self.output)
            self.read()
        return True

    def is_stopped(self) -> bool:
        """Return True while the program is stopped."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        self.process.send_signal(number)

    def modes_left_on(self) -> set[bytes]:
        """Return the modes that are still on after everything that was written."""
        state = dict(_MODE_CHANGE.findall(bytes(self.output)))
        return {mode for mode in MODES if state.get(mode) == b"h"}

    def raw_output(self) -> list[str]:
        """Return what was written that the app itself does not write, and that would steer a terminal.

        What stands between leaving the terminal and taking it again is of other programs, or echoed by the
        system.
        """
        rest = _OWN_OUTPUT.sub(b"", _OF_OTHERS.sub(b"", bytes(self.output)))
        text = rest.decode(errors="replace")
        return [
            f"{match.group()!r} in {text[max(0, match.start() - 30) : match.start() + 30]!r}"
            for match in _RAW.finditer(text)
        ]

    def close(self) -> None:
        """End the program if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._screen_end)
        os.close(self._program_end)


@contextmanager
def pty_terminal(
    command: Sequence[str],
    environment: Mapping[str, str],
    stderr: int | None = None,
) -> Iterator[PtyTerminal]:
    """Open a pseudo-terminal, which a program controls as the leader of its session."""
    screen_end, program_end = os.openpty()
    fcntl.ioctl(program_end, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    before = termios.tcgetattr(program_end)
    process = subprocess.Popen(
        command,
        stdin=program_end,
        stdout=program_end,
        stderr=program_end if stderr is None else stderr,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0) and None,
    )
    terminal = PtyTerminal(process, screen_end, program_end, before)
    try:
        yield terminal
    finally:
        terminal.close()


CHAT = (sys.executable, "-m", "qwen3_chat", "--demo")
READY = "Ask anything"


def app_environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of the app with a home of its own, whose editor and browser do nothing."""
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    return kept | {
        "QWEN3_CHAT_HOME": str(home),
        "PYTHONPATH": str(REPOSITORY),
        "TERM": "xterm-256color",
        "LC_ALL": "en_US.UTF-8",
        "EDITOR": "true",
        "VISUAL": "",
        "BROWSER": "true",
        "DISPLAY": "",
        "WAYLAND_DISPLAY": "",
        "ALL_PROXY": "http://127.0.0.1:9",
        **more,
    }
