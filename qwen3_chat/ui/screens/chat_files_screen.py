"""The dialog with the files that tools have written in a chat: open a picture, attach one, copy its path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from qwen3_chat.documents.chat_files import ChatFile
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR, format_size
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.screens.dialog import Dialog
from qwen3_chat.ui.textual_compat import SteadyOptionList
from qwen3_chat.ui.themes import DIM
from qwen3_chat.ui.widgets.key_bar import KeyBar

MAX_FILE_NAME_CHARS = 60


class ChatFilesScreen(Dialog[Path]):
    """The list of files, the latest first; its result is a file to attach."""

    BINDINGS = [
        key_binding("attach_file", "enter", "attach", priority=True),
        key_binding("open_file", "o", "open"),
        key_binding("copy_path", "c", "copy"),
        key_binding("close", "escape", "close"),
    ]
    DEFAULT_CSS = """
    ChatFilesScreen {
        align: center middle;
        #files-box {
            width: 90%;
            max-width: 80;
            height: auto;
            max-height: 80%;
            border: round $primary;
            border-title-color: $primary;
            background: $surface;
        }
        OptionList, OptionList:focus { border: none; height: auto; background: $surface; padding: 1 1; }
        KeyBar { background: $surface; }
    }
    """

    def __init__(self, files: Sequence[ChatFile]) -> None:
        super().__init__()
        self._files = tuple(files)
        self.options = SteadyOptionList(*map(_option, files))

    def compose(self) -> ComposeResult:
        """Lay out the list and the keys."""
        with Vertical(id="files-box") as box:
            box.border_title = t("ui.files.title")
            yield self.options
            yield KeyBar()

    def on_mount(self) -> None:
        """Highlight the latest file."""
        self.options.focus()
        self.options.highlighted = 0

    @property
    def _file(self) -> ChatFile:
        return self._files[self.options.highlighted or 0]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now."""
        return self._file.can_open if action == "open" else True

    @on(OptionList.OptionHighlighted)
    def moved(self) -> None:
        """Update the keys for the highlighted file."""
        self.refresh_bindings()

    @on(OptionList.OptionSelected)
    def clicked(self, message: OptionList.OptionSelected) -> None:
        """Attach the clicked file."""
        self.action_attach()

    def action_attach(self) -> None:
        """Attach the highlighted file to the message that is being written."""
        if self.is_current:
            self.dismiss(self._file.path)

    def action_open(self) -> None:
        """Open the highlighted picture or PDF in the program that the system has for it."""
        self.app.open_url(self._file.path.absolute().as_uri())

    def action_copy(self) -> None:
        """Copy the path of the highlighted file."""
        self.app.copy_to_clipboard(str(self._file.path.absolute()))

    def action_close(self) -> None:
        """Return to the chat."""
        self.dismiss(None)


def _option(file: ChatFile) -> Option:
    name = terminal_safe(file.name)
    shown = name if len(name) <= MAX_FILE_NAME_CHARS else f"…{name[1 - MAX_FILE_NAME_CHARS :]}"
    return Option(Content.assemble(shown, (f"{SEPARATOR}{format_size(file.size_bytes)}", DIM)))
