"""The base class of the dialogs that are one list in a frame, with the keys for its highlighted row below."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from qwen3_chat.texts import t
from qwen3_chat.ui.screens.dialog import Dialog, ResultT
from qwen3_chat.ui.textual_compat import SteadyOptionList
from qwen3_chat.ui.widgets.key_bar import KeyBar


class ListDialog(Dialog[ResultT]):
    """A list with a title; `TITLE_KEY` is the key of its text."""

    TITLE_KEY: ClassVar[str]
    DEFAULT_CSS = """
    ListDialog {
        align: center middle;
        #list-box {
            width: 90%;
            max-width: 80;
            height: auto;
            max-height: 90%;
            border: round $primary;
            border-title-color: $primary;
            background: $surface;
        }
        OptionList, OptionList:focus {
            border: none; height: auto; max-height: 100%; background: $surface; padding: 1 1;
        }
        KeyBar { background: $surface; dock: bottom; }
    }
    """

    def __init__(self, *options: Option, highlighted: int = 0) -> None:
        super().__init__()
        self._highlighted = highlighted
        self.options = SteadyOptionList(*options)
        self.box = Vertical(id="list-box")

    def compose(self) -> ComposeResult:
        """Lay out the list and the keys."""
        with self.box:
            self.box.border_title = t(self.TITLE_KEY)
            yield self.options
            yield KeyBar()

    def on_mount(self) -> None:
        """Highlight the row to begin with."""
        self.options.focus()
        self.options.highlighted = self._highlighted

    @on(OptionList.OptionHighlighted)
    def moved(self) -> None:
        """Update the keys for the highlighted row."""
        self.refresh_bindings()

    def action_close(self) -> None:
        """Return to the chat."""
        self.dismiss(None)
