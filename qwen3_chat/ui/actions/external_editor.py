"""The message being written, edited in an editor of the user's choice."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from shutil import which

from textual.app import SuspendNotSupported

from qwen3_chat.config.paths import APP_NAME
from qwen3_chat.texts import t
from qwen3_chat.ui.screens.conversation_screen import ConversationScreen

FALLBACK_EDITORS = ("sensible-editor", "nano", "vim", "vi", "notepad")


def editor_command(environ: Mapping[str, str]) -> list[str]:
    """Return the command of $VISUAL, of $EDITOR or of a common editor; empty if there is none."""
    for name in ("VISUAL", "EDITOR"):
        if command := shlex.split(environ.get(name, ""), posix=os.name == "posix"):
            return command
    editor = next((name for name in FALLBACK_EDITORS if which(name, path=environ.get("PATH"))), None)
    return [editor] if editor else []


class EditorActions(ConversationScreen):
    """The action that opens the editor; the app is suspended meanwhile, so not while an answer is written."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now; None shows it disabled."""
        if action == "editor":
            return not self.is_answering
        return super().check_action(action, parameters)

    def action_editor(self) -> None:
        """Edit the text of the input in the editor, then take over the result."""
        command = editor_command(os.environ)
        if not command:
            self.notify(t("ui.editor.none"), severity="warning")
            return
        try:
            with tempfile.TemporaryDirectory(prefix=f"{APP_NAME}-") as folder:
                file = Path(folder) / "message.md"
                file.write_text(self.input.text, encoding="utf-8", newline="")
                with self.app.suspend():
                    status = subprocess.run([*command, str(file)], check=False).returncode
                text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError, SuspendNotSupported) as error:
            self.notify(t("ui.editor.failed", command=command[0], reason=error), severity="error")
            return
        if status:
            self.notify(t("ui.editor.failed", command=command[0], reason=status), severity="warning")
            return
        self.input.text = text.removesuffix("\n")
        self.input.move_cursor(self.input.document.end)
        self.input.focus()
