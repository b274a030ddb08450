"""The dialog with the files that tools have written in a chat: open a picture, attach one, copy its path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textual import on
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from qwen3_chat.documents.chat_files import ChatFile
from qwen3_chat.texts.formatting import SEPARATOR, format_size
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.ui.browser import download_file
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.screens.list_dialog import ListDialog
from qwen3_chat.ui.themes import DIM

MAX_FILE_NAME_CHARS = 60


class ChatFilesScreen(ListDialog[Path]):
    """The list of files, the latest first; its result is a file to attach."""

    BINDINGS = [
        key_binding("attach_file", "enter", "attach", priority=True),
        key_binding("open_file", "o", "open"),
        key_binding("copy_path", "c", "copy"),
        key_binding("close", "escape", "close"),
    ]
    TITLE_KEY = "ui.files.title"

    def __init__(self, files: Sequence[ChatFile]) -> None:
        super().__init__(*map(_option, files))
        self._files = tuple(files)

    @property
    def _file(self) -> ChatFile:
        return self._files[self.options.highlighted or 0]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now."""
        return self._file.can_open or self.app.is_web if action == "open" else True

    @on(OptionList.OptionSelected)
    def clicked(self, message: OptionList.OptionSelected) -> None:
        """Attach the clicked file."""
        self.action_attach()

    def action_attach(self) -> None:
        """Attach the highlighted file to the message that is being written."""
        if self.is_current:
            self.dismiss(self._file.path)

    def action_open(self) -> None:
        """Open the highlighted picture or PDF in the system's program for it; in a browser, save the file."""
        if self.app.is_web:
            with notify_errors(self, "task.save_file"):
                download_file(self.app, self._file.path, self._file.path.name)
            return
        self.app.open_url(self._file.path.absolute().as_uri())

    def action_copy(self) -> None:
        """Copy the path of the highlighted file."""
        self.app.copy_to_clipboard(str(self._file.path.absolute()))


def _option(file: ChatFile) -> Option:
    name = terminal_safe(file.name)
    shown = name if len(name) <= MAX_FILE_NAME_CHARS else f"…{name[1 - MAX_FILE_NAME_CHARS :]}"
    return Option(Content.assemble(shown, (f"{SEPARATOR}{format_size(file.size_bytes)}", DIM)))
