"""Ways to the clipboard: the system's own tool, tmux, the terminal, a file.

Own code, because what libraries offer claims success without asking the tool, and none knows terminals.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from shutil import which

TOOL_TIMEOUT_S = 5
TERMINAL_LIMIT_BYTES = 74_994
"""What terminals take in one OSC 52 sequence: 100,000 characters of base64, less the frame."""


class Route(StrEnum):
    """How a text got out."""

    TOOL = "tool"
    TMUX = "tmux"
    TERMINAL = "terminal"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that takes the text on its stdin; used where its variable is set."""

    command: tuple[str, ...]
    variable: str = ""
    encoding: str = "utf-8"


TOOLS = (
    Tool(("pbcopy",)),
    Tool(("wl-copy",), "WAYLAND_DISPLAY"),
    Tool(("xclip", "-selection", "clipboard"), "DISPLAY"),
    Tool(("xsel", "--clipboard", "--input"), "DISPLAY"),
    Tool(("clip.exe",), "WSL_DISTRO_NAME", "utf-16-le"),
    Tool(("clip",), "WINDIR", "utf-16-le"),
)
TMUX = Tool(("tmux", "load-buffer", "-w", "-"), "TMUX")
"""Keeps the text as tmux's buffer, and hands it to the terminal outside where that takes it."""


class Clipboard:
    """Copies a text by the first way that works; `terminal` writes an OSC 52 sequence."""

    def __init__(
        self, terminal: Callable[[str], None], file: Path, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._terminal = terminal
        self._file = file
        self._environ = environ

    def copy(self, text: str) -> Route:
        """Copy; return the way it went. May take seconds: not for the event loop.

        Raises:
            OSError: every way failed, the last of them a file.
        """
        is_remote = "SSH_CONNECTION" in self._environ or "SSH_TTY" in self._environ
        # Over SSH the tools reach the clipboard of the other machine, where nobody pastes.
        if not is_remote and any(self._by(tool, text) for tool in TOOLS):
            return Route.TOOL
        if self._by(TMUX, text):
            return Route.TMUX
        if len(text.encode()) <= TERMINAL_LIMIT_BYTES:
            self._terminal(text)
            return Route.TERMINAL
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(text, encoding="utf-8", newline="")
        return Route.FILE

    def _by(self, tool: Tool, text: str) -> bool:
        program = which(tool.command[0], path=self._environ.get("PATH"))
        if program is None or (tool.variable and tool.variable not in self._environ):
            return False
        if tool.command[0] == "clip" and sys.platform != "win32":
            return False
        try:
            # The tools stay behind to serve the text; with our output open they would hold it open as well.
            done = subprocess.run(
                [program, *tool.command[1:]],
                input=text.encode(tool.encoding),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=dict(self._environ),
                timeout=TOOL_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0
