"""The message being written, edited in an editor of the user's choice."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from shutil import which
from typing import Any

from textual.app import SuspendNotSupported
from textual.screen import Screen

from qwen3_chat.child_process import split_command
from qwen3_chat.config.paths import APP_NAME
from qwen3_chat.texts import t
from qwen3_chat.ui.widgets.chat_input import ChatInput

FALLBACK_EDITORS = ("sensible-editor", "nano", "vim", "vi", "notepad")


def editor_command(environ: Mapping[str, str]) -> list[str]:
    """Return the command of $VISUAL, of $EDITOR or of a common editor; empty if there is none."""
    for name in ("VISUAL", "EDITOR"):
        if command := _split(environ.get(name, "")):
            return command
    editor = next((name for name in FALLBACK_EDITORS if which(name, path=environ.get("PATH"))), None)
    return [editor] if editor else []


def _split(command: str) -> list[str]:
    try:
        return split_command(command)
    except ValueError:  # a quote without its end
        return command.split()


def _program(name: str) -> str:
    """Return the file that a name stands for: Windows starts no script such as `code.cmd` by its name."""
    return which(name) or name


def edit_in_editor(screen: Screen[Any], chat_input: ChatInput) -> None:
    """Edit the text of the input in the user's editor, then take over the result.

    The app is suspended meanwhile, so no answer may be written.
    """
    command = editor_command(os.environ)
    if not command:
        screen.notify(t("ui.editor.none"), severity="warning")
        return
    try:
        with tempfile.TemporaryDirectory(prefix=f"{APP_NAME}-") as folder:
            file = Path(folder) / "message.md"
            file.write_bytes(chat_input.text.encode(errors="surrogatepass"))
            with screen.app.suspend():
                status = subprocess.run(
                    [_program(command[0]), *command[1:], str(file)], check=False
                ).returncode
            text = file.read_bytes().decode(errors="surrogatepass").replace("\r\n", "\n")
    except (OSError, ValueError, SuspendNotSupported) as error:
        screen.notify(t("ui.editor.failed", command=command[0], reason=error), severity="error")
        return
    if status:
        screen.notify(t("ui.editor.exited", command=command[0], status=status), severity="warning")
        return
    chat_input.text = text.removesuffix("\n")
    chat_input.move_cursor(chat_input.document.end)
    chat_input.focus()
