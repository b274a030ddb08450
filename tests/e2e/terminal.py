"""A real terminal, by tmux: keys go in, the screen comes out."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

import pytest

from tests.conftest import WAIT_LIMIT_S
from tests.e2e.conftest import Program

POLL_S = 0.05


class Terminal:
    """One tmux session on a server of its own."""

    def __init__(self, socket: Path) -> None:
        self._tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        self._output = socket.with_name(f"{socket.name}.output")

    def start(
        self,
        program: Program,
        arguments: tuple[str, ...],
        size: tuple[int, int],
        more: Mapping[str, str],
    ) -> None:
        """Run the program in a window of a size, with more variables in its environment."""
        passed = {name: program.environment[name] for name in ("QWEN3_CHAT_HOME", "LC_ALL", "PYTHONPATH")}
        variables = [f"{name}={value}" for name, value in (passed | dict(more)).items()]
        # readline, which pytest loads, puts the size of pytest's own terminal into the environment.
        command = shlex.join(
            [
                "env",
                "-u",
                "COLUMNS",
                "-u",
                "LINES",
                *variables,
                "COLORTERM=truecolor",
                *program.command,
                *arguments,
            ]
        )
        width, height = (str(cells) for cells in size)
        # The shell stays after the program, so that its last words can be read. Not every shell outlives the
        # Ctrl+C that its program handles.
        line = f"trap : INT; {command}; echo left with $?; cat"
        self._run("new-session", "-d", "-x", width, "-y", height, line)
        self._run("pipe-pane", f"cat > {shlex.quote(str(self._output))}")

    def type(self, text: str) -> None:
        """Type a text."""
        self._run("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names: `Enter`, `C-t`, `F1`."""
        self._run("send-keys", *keys)

    def screen(self) -> str:
        """Read the screen."""
        return self._run("capture-pane", "-p")

    def wait_for_notice(self, text: str) -> None:
        """Wait until a text was on the screen, even if it has left it again: a notice goes by itself."""
        self.until(lambda _: self._output.is_file() and text in self._output.read_text("utf-8", "replace"))

    def wait_for(self, *texts: str) -> str:
        """Wait until all texts are on the screen; return it."""
        return self.until(lambda screen: all(text in screen for text in texts))

    def wait_for_answer(self, *texts: str) -> str:
        """Wait until all texts are on the screen and nothing is left to stop; return it."""
        return self.until(
            lambda screen: all(text in screen for text in texts) and "Esc" not in screen.splitlines()[-1]
        )

    def wait_for_reply_to(self, question: str) -> str:
        """Wait until this has an answer below it, whatever it says, and nothing is left to stop."""

        def holds(screen: str) -> bool:
            _, found, below = screen.rpartition(f"▌ {question}")
            header_and_answer = re.findall(r"^ {3}[^\s▸▾]", below, re.MULTILINE)
            return bool(found) and len(header_and_answer) > 1 and "Esc" not in screen.splitlines()[-1]

        return self.until(holds)

    def until(self, holds: Callable[[str], bool]) -> str:
        """Wait until something holds of the screen; return it."""
        deadline_s = time.monotonic() + WAIT_LIMIT_S
        while not holds(screen := self.screen()):
            if time.monotonic() > deadline_s:
                pytest.fail(screen)
            time.sleep(POLL_S)
        return screen

    def process_id(self) -> int:
        """Tell the process of the shell that runs the program."""
        return int(self._run("display-message", "-p", "#{pane_pid}"))

    def stop(self) -> None:
        """End the server with everything in it."""
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)

    def _run(self, *arguments: str) -> str:
        environment = {**os.environ, "SHELL": "/bin/sh"}  # a user's own may be none, or read files of theirs
        done = subprocess.run(
            [*self._tmux, *arguments], check=True, capture_output=True, text=True, env=environment
        )
        return done.stdout


@contextmanager
def opened(
    program: Program,
    folder: Path,
    *arguments: str,
    size: tuple[int, int] = (80, 24),
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Terminal]:
    """Open a terminal with the program in it."""
    terminal = Terminal(folder / f"tmux-{uuid4().hex[:8]}")
    terminal.start(program, arguments, size, variables)
    try:
        yield terminal
    finally:
        terminal.stop()
