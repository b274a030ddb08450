"""The dialog that asks under which name a file is saved."""

from __future__ import annotations

from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static
from textual.widgets.input import Selection

from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.screens.dialog import Dialog
from qwen3_chat.ui.textual_compat import MAX_LINE_CHARACTERS
from qwen3_chat.ui.widgets.key_bar import KeyBar


class FileNameScreen(Dialog[Path | None]):
    """A name, or a whole path, with the folder that a name alone belongs to; its result is the path."""

    CLOSES_BY_CLICK = False
    BINDINGS = [
        key_binding("take", "enter", "take", priority=True),
        key_binding("close", "escape", "close"),
    ]
    DEFAULT_CSS = """
    FileNameScreen {
        align: center middle;
        #file-name-box {
            width: 90%; max-width: 80; height: auto;
            border: round $primary; border-title-color: $primary; background: $surface;
        }
        Input, Input:focus { border: none; height: 1; margin: 1 1 0 1; padding: 0 1; background: $boost; }
        Static { padding: 0 2 1 2; color: $foreground 75%; }
        KeyBar { background: $surface; }
    }
    """

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__()
        self.name_input = Input(name, max_length=MAX_LINE_CHARACTERS)
        self._folder = folder

    def compose(self) -> ComposeResult:
        """Lay out the name, the folder and the keys."""
        with Vertical(id="file-name-box") as box:
            box.border_title = t("ui.code.name")
            yield self.name_input
            yield Static(terminal_safe(t("ui.code.folder", folder=self._folder)), markup=False)
            yield KeyBar()

    def on_mount(self) -> None:
        """Select the name without its ending, so that what is typed replaces it."""
        self.name_input.focus()
        stem = self.name_input.value.rpartition(".")[0]
        self.call_after_refresh(self.name_input.select_all if not stem else self._select_stem)

    def _select_stem(self) -> None:
        self.name_input.selection = Selection(0, len(self.name_input.value.rpartition(".")[0]))

    @on(Input.Submitted)
    def action_take(self) -> None:
        """Close with the path."""
        if (name := self.name_input.value.strip()) and self.is_current:
            self.dismiss(self._folder / Path(name).expanduser())

    def action_close(self) -> None:
        """Save nothing."""
        self.dismiss(None)
