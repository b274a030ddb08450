"""The dialog with the formats of an export."""

from __future__ import annotations

from textual import on
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from qwen3_chat.documents.export_options import ExportFormat
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.screens.list_dialog import ListDialog
from qwen3_chat.ui.themes import DIM


class ExportScreen(ListDialog[ExportFormat]):
    """The list of formats, that of the settings highlighted; its result is the chosen one."""

    BINDINGS = [
        key_binding("export_in", "enter", "choose", priority=True),
        key_binding("close", "escape", "close"),
    ]
    TITLE_KEY = "ui.export.title"

    def __init__(self, usual: ExportFormat) -> None:
        super().__init__(*map(_option, ExportFormat), highlighted=list(ExportFormat).index(usual))

    @on(OptionList.OptionSelected)
    def clicked(self) -> None:
        """Close with the clicked format."""
        self.action_choose()

    def action_choose(self) -> None:
        """Close with the highlighted format."""
        if self.is_current:
            self.dismiss(list(ExportFormat)[self.options.highlighted or 0])


def _option(choice: ExportFormat) -> Option:
    ending = (f"{SEPARATOR}.{choice.value}", DIM)
    return Option(Content.assemble(t(f"ui.export.{choice.value}"), ending))
