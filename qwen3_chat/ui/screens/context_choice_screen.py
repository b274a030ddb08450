"""The dialog for a chat that does not fit into the context: the choice of a policy."""

from __future__ import annotations

from collections.abc import Iterator

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from qwen3_chat.context_plan import ContextPolicy
from qwen3_chat.session import ContextExceeded
from qwen3_chat.texts import t
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.screens.dialog import Dialog
from qwen3_chat.ui.textual_compat import SteadyOptionList
from qwen3_chat.ui.widgets.key_bar import KeyBar


class ContextChoiceScreen(Dialog[ContextPolicy | None]):
    """The list of the possible policies with their effects; it closes with the chosen one, or with None."""

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
            max-height: 100%;
            border: round $primary;
            border-title-color: $primary;
            background: $surface;
        }
        #context-figures { padding: 1 2; height: auto; }
        OptionList, OptionList:focus { border: none; height: auto; background: $surface; padding: 0 1; }
        OptionList > .option-list--option { padding: 0 1; }
        KeyBar { background: $surface; dock: bottom; }
        VerticalScroll { height: auto; max-height: 100%; }
        &.-short #context-figures { padding: 0 2; }
    }
    """

    def __init__(self, exceeded: ContextExceeded) -> None:
        super().__init__()
        self._exceeded = exceeded
        self.options = SteadyOptionList(*self._choices())

    def compose(self) -> ComposeResult:
        """Lay out the figures, the choices and the keys."""
        with Vertical(id="context-box") as box:
            box.border_title = t("ui.context.title")
            with VerticalScroll():
                yield Static(self._exceeded.text, id="context-figures", markup=False)
                yield self.options
            yield KeyBar()

    def on_mount(self) -> None:
        """Highlight the first choice."""
        self.options.focus()
        self.options.highlighted = 0

    @on(OptionList.OptionSelected)
    def chosen(self, message: OptionList.OptionSelected) -> None:
        """Close with the clicked choice."""
        self.dismiss(ContextPolicy(str(message.option.id)))

    def action_choose(self) -> None:
        """Close with the highlighted choice."""
        self.options.action_select()

    def action_close(self) -> None:
        """Close without a choice; the turn keeps waiting."""
        self.dismiss(None)

    def _choices(self) -> Iterator[Option | None]:
        for number, policy in enumerate(self._exceeded.policies):
            if number:
                yield None  # a line between the choices
            yield Option(self._choice_content(policy), policy)

    def _choice_content(self, policy: ContextPolicy) -> Content:
        exceeded = self._exceeded
        about = t(f"ui.context.{policy}.about", count=exceeded.to_leave_out, n_ctx=exceeded.larger_n_ctx or 0)
        return Content.assemble((t(f"ui.context.{policy}"), "bold"), "\n", about)
