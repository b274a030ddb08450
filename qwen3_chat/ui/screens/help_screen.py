"""The help, which lists every key with its effect and is made from the bindings."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from qwen3_chat.texts import t
from qwen3_chat.ui.browser import NOT_IN_BROWSER
from qwen3_chat.ui.key_bindings import (
    APP_KEYS,
    CHAT_KEYS,
    MESSAGE_KEYS,
    UNBOUND,
    command_name,
    key_binding,
    key_name,
)
from qwen3_chat.ui.keymap import Keymap
from qwen3_chat.ui.screens.dialog import Dialog
from qwen3_chat.ui.widgets.key_bar import KeyBar

KEY_COLUMN_CELLS = 19


class HelpScreen(Dialog[None]):
    """The keys with their effects; the list scrolls where the terminal is small."""

    BINDINGS = [key_binding("close", "escape,f1,q", "close")]
    DEFAULT_CSS = """
    HelpScreen {
        align: center middle;
        #help-box {
            width: 90%;
            max-width: 90;
            height: auto;
            max-height: 95%;
            border: round $primary;
            border-title-color: $primary;
            background: $surface;
            padding: 1 2;
        }
        VerticalScroll { height: auto; max-height: 100%; }
        KeyBar { background: $surface; padding: 0; dock: bottom; }
    }
    """

    def __init__(self, keymap: Keymap, enter_sends: bool) -> None:
        super().__init__()
        self._keymap = keymap
        self._enter_sends = enter_sends

    def compose(self) -> ComposeResult:
        """Lay out the keys in groups, then a text on what can be typed into the input."""
        with Vertical(id="help-box") as box:
            box.border_title = t("ui.help.title")
            with VerticalScroll():
                yield Static(self._table([*self._writing_keys(), *self._rows(CHAT_KEYS)]), markup=False)
                for title, bindings in (("message", MESSAGE_KEYS), ("app", APP_KEYS)):
                    yield Static(Content.assemble("\n", (t(f"ui.help.group.{title}"), "bold")), markup=False)
                    yield Static(self._table(self._rows(bindings)), markup=False)
                yield Static(Content("\n" + t("ui.help.more") + "\n"), markup=False)
            yield KeyBar()

    def _writing_keys(self) -> list[tuple[str, str]]:
        keys = [t("ui.help.send_keys"), t("ui.help.line_keys")]
        send, line = keys if self._enter_sends else reversed(keys)
        return [(send, t("ui.tip.send")), (line, t("ui.tip.line"))]

    def _rows(self, bindings: Sequence[Binding]) -> list[tuple[str, str]]:
        hidden = NOT_IN_BROWSER if self.app.is_web else frozenset()
        shown = [binding for binding in self._keymap.apply_to(bindings) if binding.id not in hidden]
        return [(self._names(binding), t(binding.tooltip)) for binding in shown]

    def _table(self, rows: Sequence[tuple[str, str]]) -> Table:
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=KEY_COLUMN_CELLS)
        table.add_column(ratio=1, overflow="fold")
        style = f"bold {self.app.theme_variables['primary']}"
        for name, text in rows:
            table.add_row(Text(name, style), Text(text))
        return table

    def _names(self, binding: Binding) -> str:
        if binding.key == UNBOUND:
            return command_name(binding.id or "")
        return " ".join(key_name(name) for name in binding.key.split(","))

    def action_close(self) -> None:
        """Return to the chat."""
        self.dismiss(None)
