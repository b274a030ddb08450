"""The time by the clock and the processor that a program takes until a typed key is on the screen."""

from __future__ import annotations

import asyncio
import math
import os
import pty
import resource
import select
import shlex
import statistics
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from qwen3_chat.chat import ChatMessage, Role, StopReason
from qwen3_chat.config import find_paths
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import MessageMeta

Times: TypeAlias = tuple[float, float]
"""The time by the clock and the processor time, in seconds."""

CHATS = 1000
SIZE = (40, 120)
WAIT_LIMIT_S = 30.0
KEY = b"Z"
BARE_NAME = "input, bare app"
# The cursor covers the first character of the placeholder.
BARE = """
from textual.app import App
from textual.widgets import Input
class Bare(App):
    def compose(self):
        yield Input(placeholder=" ready")
Bare().run()
"""


@dataclass(frozen=True, slots=True)
class Start:
    """The times of one way to start, in seconds, and the processor time of the process alone."""

    name: str
    times_s: tuple[float, ...]
    cpu_times_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """The median time."""
        return statistics.median(self.times_s)

    @property
    def median_cpu_s(self) -> float:
        """The median of the processor time; NaN where the system does not tell it."""
        return statistics.median(self.cpu_times_s)


def starts(repeats: int, peers: Sequence[tuple[str, str]] = ()) -> list[Start]:
    """Measure our starts beside those of Python, a bare app, and peers.

    `peers` are pairs of a text that the program shows and its command.
    """
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(fill(find_paths({"QWEN3_CHAT_HOME": folder}).chats_file))
        environment = {**os.environ, "QWEN3_CHAT_HOME": folder, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        environment["HOME"] = folder
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is compiled, too
        ours = [sys.executable, "-m", "qwen3_chat"]
        until_key = {
            f"input, {CHATS:,} chats stored": ([*ours, "--demo"], b"Enter"),
            BARE_NAME: ([sys.executable, "-c", BARE], b"ready"),
        }
        until_shown = {
            f"“{text}”, {command}": (shlex.split(command), text.encode()) for text, command in peers
        }
        until_end = {
            "--help": [*ours, "--help"],
            "--version": [*ours, "--version"],
            "Python alone": [sys.executable, "-c", "pass"],
        }
        times: dict[str, list[Times]] = {name: [] for name in (*until_key, *until_shown, *until_end)}
        for _ in range(repeats):  # by turns, so that all sides see the same machine
            for name, (command, shown) in until_key.items():
                times[name].append(time_to_screen(command, shown, environment, KEY))
            for name, (command, shown) in until_shown.items():
                times[name].append(time_to_screen(command, shown, environment))
            for name, command in until_end.items():
                times[name].append(time_to_end(command, environment))
    return [
        Start(name, tuple(clock for clock, _ in taken), tuple(cpu for _, cpu in taken))
        for name, taken in times.items()
    ]


async def fill(file: Path) -> None:
    """Fill a database with many chats; the answers are complete, for one that a crash cut off costs time."""
    store = await ChatStore.open(file)
    try:
        for number in range(CHATS):
            chat = await store.create_chat()
            question = ChatMessage(Role.USER, f"Question {number}: why is the sky blue?")
            asked = await store.add_message(chat.id, None, question, MessageMeta())
            answer = ChatMessage(Role.ASSISTANT, "Because of Rayleigh scattering. " * 20)
            await store.add_message(
                chat.id, asked.id, answer, MessageMeta(stop_reason=StopReason.END_OF_TURN)
            )
    finally:
        await store.close()


def time_to_screen(
    command: Sequence[str], shown: bytes, environment: Mapping[str, str], key: bytes = b""
) -> Times:
    """Start in a terminal; return the times until `shown` is drawn, and then `key`, which is pressed."""
    started_s = time.perf_counter()
    process, terminal = pty.fork()
    if process == 0:
        os.execvpe(command[0], list(command), dict(environment))
    try:
        termios.tcsetwinsize(terminal, SIZE)
        wait_for(terminal, shown)
        if key:
            os.write(terminal, key)
            wait_for(terminal, key)
        return time.perf_counter() - started_s, cpu_time_s(process)
    finally:
        os.kill(process, 9)
        os.waitpid(process, 0)
        os.close(terminal)


def cpu_time_s(process: int) -> float:
    """Return the processor time that the threads of a process have taken; NaN unless the system is Linux."""
    taken_s = 0.0
    for thread in Path(f"/proc/{process}/task").glob("*/schedstat"):
        taken_s += int(thread.read_text(encoding="ascii").split()[0]) / 1e9
    return taken_s or math.nan


def wait_for(terminal: int, shown: bytes) -> None:
    """Read the output of a terminal until it has some bytes.

    Raises:
        TimeoutError: they did not appear.
    """
    drawn = b""
    deadline_s = time.perf_counter() + WAIT_LIMIT_S
    while shown not in drawn:
        if not select.select([terminal], [], [], max(0, deadline_s - time.perf_counter()))[0]:
            raise TimeoutError(drawn[-2000:].decode("utf-8", "replace"))
        drawn += os.read(terminal, 65536)


def time_to_end(command: Sequence[str], environment: Mapping[str, str]) -> Times:
    """Run a command; return the times until it ends."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started_s = time.perf_counter()
    subprocess.run(command, env=dict(environment), capture_output=True, check=True)
    ended_s, after = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended_s - started_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
