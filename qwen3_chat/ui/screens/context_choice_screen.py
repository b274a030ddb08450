"""The choice of what to do about a chat that does not fit into the context."""

from __future__ import annotations

from collections.abc import Iterator

from textual import getters, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from qwen3_chat.context_plan import ContextPolicy
from qwen3_chat.session import ContextExceeded
from qwen3_chat.texts import t
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.screens.dialog import Dialog
from qwen3_chat.ui.widgets.key_bar import KeyBar


class ContextChoiceScreen(Dialog[ContextPolicy | None]):
    """Lists what can be done, each with what it comes to; None where nothing was chosen."""

    BINDINGS = [
        key_binding("choose", "enter", "choose", priority=True),
        key_binding("close", "escape", "close"),
    ]
    DEFAULT_CSS = """
    ContextChoiceScreen {
        align: center middle;
        #context-box {
            width: 90%;
            max-width: 76;
            height: auto;
            max-height: 95%;
            border: round $primary;
            border-title-color: $primary;
            background: $surface;
        }
        #context-figures { padding: 1 2; height: auto; }
        OptionList, OptionList:focus { border: none; height: auto; background: $surface; padding: 0 1; }
        OptionList > .option-list--option { padding: 0 1; }
        KeyBar { background: $surface; }
    }
    """

    options = getters.query_one(OptionList)

    def __init__(self, exceeded: ContextExceeded) -> None:
        super().__init__()
        self._exceeded = exceeded

    def compose(self) -> ComposeResult:
        """Lay out the figures, what there is to choose, the keys."""
        with Vertical(id="context-box") as box:
            box.border_title = t("ui.context.title")
            yield Static(self._exceeded.text, id="context-figures", markup=False)
            yield OptionList(*self._choices())
            yield KeyBar()

    def on_mount(self) -> None:
        """Let the keys choose."""
        self.options.focus()
        self.options.highlighted = 0

    @on(OptionList.OptionSelected)
    def chosen(self, message: OptionList.OptionSelected) -> None:
        """Take what was clicked."""
        self.dismiss(ContextPolicy(str(message.option.id)))

    def action_choose(self) -> None:
        """Take what is highlighted."""
        self.options.action_select()

    def action_close(self) -> None:
        """Leave the question as it is: it waits."""
        self.dismiss(None)

    def _choices(self) -> Iterator[Option | None]:
        for number, policy in enumerate(self._exceeded.policies):
            if number:
                yield None  # a line between
            yield Option(self._described(policy), policy)

    def _described(self, policy: ContextPolicy) -> Content:
        asked = self._exceeded
        about = t(f"ui.context.{policy}.about", count=asked.to_leave_out, n_ctx=asked.larger_n_ctx or 0)
        return Content.assemble((t(f"ui.context.{policy}"), "bold $primary"), "\n", about)
