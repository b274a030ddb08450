"""The clipboard, reached by a program of the system, by tmux, by the terminal or by a file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from shutil import which

from msgspec import Struct

from qwen3_chat.texts.terminal_safe import storable

PROGRAM_TIMEOUT_S = 5
MAX_TERMINAL_BYTES = 74_994
"""The most that terminals take in one OSC 52 sequence: 100,000 characters of base64, less the frame."""

MAX_BROWSER_BYTES = 4 * 1024**2
"""The most that is copied at once in a browser, whose terminal takes 10 million characters of base64."""


class CopyRoute(StrEnum):
    """The way by which a text was copied."""

    PROGRAM = "tool"
    TMUX = "tmux"
    TERMINAL = "terminal"
    FILE = "file"


class ClipboardProgram(Struct, frozen=True):
    """A program that takes the text on its stdin, used where its environment variable is set."""

    command: tuple[str, ...]
    variable: str = ""
    encoding: str = "utf-8"
    locale: str = ""
    """The locale that it must have to read the encoding; empty for the user's own."""


CLIPBOARD_PROGRAMS = (
    ClipboardProgram(("pbcopy",), locale="en_US.UTF-8"),  # without one, it takes the text for Mac Roman
    ClipboardProgram(("wl-copy",), "WAYLAND_DISPLAY"),
    ClipboardProgram(("xclip", "-selection", "clipboard"), "DISPLAY"),
    ClipboardProgram(("xsel", "--clipboard", "--input"), "DISPLAY"),
    ClipboardProgram(("clip.exe",), "WSL_DISTRO_NAME", "utf-16-le"),
    ClipboardProgram(("clip",), "WINDIR", "utf-16-le"),
)
TMUX = ClipboardProgram(("tmux", "load-buffer", "-w", "-"), "TMUX")
"""tmux, which stores the text in its buffer and passes it to the outer terminal where that accepts it."""


class Clipboard:
    """The clipboard; a text is copied by the first way that works.

    `write_terminal` writes an OSC 52 sequence.
    """

    def __init__(
        self,
        write_terminal: Callable[[str], None],
        file: Path,
        environ: Mapping[str, str] = os.environ,
        *,
        in_browser: bool = False,
    ) -> None:
        self._write_terminal = write_terminal
        self._file = file
        self._environ = environ
        self._in_browser = in_browser

    def copy(self, text: str) -> CopyRoute:
        """Copy a text and return the way it was copied; too slow for the event loop, it may take seconds.

        Raises:
            OSError: every way failed, the last of them a file.
        """
        text = storable(text)
        if self._in_browser and len(text.encode()) <= MAX_BROWSER_BYTES:
            self._write_terminal(text)
            return CopyRoute.TERMINAL
        is_remote = "SSH_CONNECTION" in self._environ or "SSH_TTY" in self._environ
        # Over SSH the programs reach the clipboard of the remote machine, where nobody pastes.
        if not is_remote and any(self._copy_with(program, text) for program in CLIPBOARD_PROGRAMS):
            return CopyRoute.PROGRAM
        if self._copy_with(TMUX, text):
            return CopyRoute.TMUX
        if len(text.encode()) <= MAX_TERMINAL_BYTES:
            self._write_terminal(text)
            return CopyRoute.TERMINAL
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_bytes(text.encode(errors="surrogatepass"))
        return CopyRoute.FILE

    def _copy_with(self, candidate: ClipboardProgram, text: str) -> bool:
        program = which(candidate.command[0], path=self._environ.get("PATH"))
        if program is None or (candidate.variable and candidate.variable not in self._environ):
            return False
        if candidate.command[0] == "clip" and sys.platform != "win32":
            return False
        try:
            # The programs keep running to serve the text; they would hold our output open if they had it.
            completed = subprocess.run(
                [program, *candidate.command[1:]],
                input=text.encode(candidate.encoding, errors="replace"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**self._environ, "LC_ALL": candidate.locale}
                if candidate.locale
                else dict(self._environ),
                timeout=PROGRAM_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return completed.returncode == 0
