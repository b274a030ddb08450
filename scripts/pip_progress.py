"""The progress of pip as one line, read from its output."""

from __future__ import annotations

import os
import re
import shutil
import time
import unicodedata
from collections.abc import Callable
from typing import NamedTuple, TextIO

from speech import t

PLAIN_INTERVAL_S = 20.0
_SPINNER = "|/-\\"

# Ninja counts "[12/240] Building CXX object a/b.cpp.o", or prints the whole command when it is verbose;
# Make prints "[ 37%] Building CXX object a/b.cpp.o"
_COMPILING = re.compile(r"\[\s*(?:(?P<done>\d+)/(?P<total>\d+)|(?P<percent>\d+)%)\] \S")
_OUTPUT = re.compile(r" (?:-c|-o) (\S+)(?= |$)")
_STEPS = (
    (re.compile(r"WARNING: Retrying \("), "scripts.step.retrying"),
    (
        re.compile(r"(?:Collecting|Requirement already satisfied:) ([A-Za-z0-9._-]+)"),
        "scripts.step.collecting",
    ),
    (re.compile(r"Downloading (?:\S*/)?([^\s/]+)"), "scripts.step.downloading"),
    (re.compile(r"Installing build dependencies"), "scripts.step.build_tools"),
    (re.compile(r"Building (?:editable|wheel) for (\S+)"), "scripts.step.building"),
    (re.compile(r"Installing collected packages"), "scripts.step.installing"),
)


class Step(NamedTuple):
    """A step of pip: a key of the texts, its subject, and the fraction that is done where that is known."""

    key: str
    subject: str = ""
    fraction: float | None = None

    def text(self) -> str:
        """Return the step in the language in use."""
        percent = "" if self.fraction is None else f"{self.fraction:.0%}"
        return t(self.key, subject=self.subject, percent=percent)


def parse_step(line: str) -> Step | None:
    """Return the step that begins with a line of `pip install --verbose`; None where none does."""
    line = line.strip()
    if match := _COMPILING.match(line):
        percent, done, total = match["percent"], match["done"], match["total"]
        fraction = int(percent) / 100 if percent else int(done) / max(1, int(total))
        path = (_OUTPUT.findall(line) or [line.rpartition(" ")[2]])[-1]
        return Step("scripts.step.compiling", path.rpartition("/")[2].removesuffix(".o"), fraction)
    for pattern, key in _STEPS:
        if match := pattern.match(line):
            return Step(key, match[1] if pattern.groups else "")
    return None


def format_clock_time(seconds: float) -> str:
    """Return a duration as on a clock: 0:07, 4:12, 1:00:03."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def clip_to_cells(text: str, cells: int) -> str:
    """Cut a text to a number of terminal cells, of which a Chinese character takes two."""
    width = 0
    for index, character in enumerate(text):
        width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if width > cells:
            return text[:index]
    return text


class ProgressLine:
    """The elapsed time and the current step: rewritten in place on a terminal, else printed at intervals."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._is_live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._begin_s = clock()
        self._printed_s = -PLAIN_INTERVAL_S
        self._frame = 0
        self._step: Step | None = None

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    @property
    def elapsed(self) -> str:
        """The time since the first step, as on a clock."""
        return format_clock_time(self._clock() - self._begin_s)

    def show(self, step: Step | None = None) -> None:
        """Redraw the line, with the next step where there is one; to be called a few times a second."""
        self._step = step or self._step
        if self._step is None:
            return
        if self._is_live:
            self._frame += 1
            self._rewrite(f"{_SPINNER[self._frame % len(_SPINNER)]} {self.elapsed}  {self._step.text()}")
        elif self._clock() - self._printed_s >= PLAIN_INTERVAL_S:
            self._printed_s = self._clock()
            print(f"  {self.elapsed}  {self._step.text()}", file=self._stream, flush=True)

    def clear(self) -> None:
        """Clear the line for other output."""
        if self._is_live:
            self._rewrite("")
            self._stream.write("\r")
            self._stream.flush()

    def _rewrite(self, text: str) -> None:
        # blanks and a carriage return do this on every terminal, old Windows consoles included
        columns = shutil.get_terminal_size().columns - 1
        text = clip_to_cells(text, columns)
        self._stream.write("\r" + " " * columns + "\r" + text)
        self._stream.flush()
