"""The dialog with the library of system prompts, to choose one."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from qwen3_chat.config.prompt_library import SystemPrompt
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.screens.dialog import Dialog
from qwen3_chat.ui.textual_compat import SteadyOptionList
from qwen3_chat.ui.widgets.key_bar import KeyBar


class PromptsScreen(Dialog[SystemPrompt | None]):
    """The list of system prompts; it closes with the chosen one, or with None."""

    BINDINGS = [
        key_binding("choose", "enter", "choose", priority=True),
        key_binding("close", "escape", "close"),
    ]
    DEFAULT_CSS = """
    PromptsScreen {
        align: center middle;
        #prompts-box {
            width: 90%;
            max-width: 84;
            height: auto;
            max-height: 90%;
            border: round $primary;
            border-title-color: $primary;
            background: $surface;
        }
        OptionList, OptionList:focus {
            border: none; height: auto; max-height: 100%; background: $surface; padding: 0;
        }
        OptionList > .option-list--option { padding: 0 1 1 1; }
        KeyBar { background: $surface; dock: bottom; }
    }
    """

    def __init__(self, prompts: Sequence[SystemPrompt]) -> None:
        super().__init__()
        self._prompts = tuple(prompts)
        self.options = SteadyOptionList(*(Option(_prompt_content(prompt)) for prompt in self._prompts))

    def compose(self) -> ComposeResult:
        """Lay out the list and the keys."""
        with Vertical(id="prompts-box") as box:
            box.border_title = t("ui.prompts.title")
            yield self.options
            yield KeyBar()

    def on_mount(self) -> None:
        """Highlight the first prompt."""
        self.options.focus()
        self.options.highlighted = 0

    @on(OptionList.OptionSelected)
    def clicked(self, message: OptionList.OptionSelected) -> None:
        """Close with the clicked prompt."""
        self.dismiss(self._prompts[message.option_index])

    def action_choose(self) -> None:
        """Close with the highlighted prompt."""
        self.options.action_select()

    def action_close(self) -> None:
        """Close without a choice."""
        self.dismiss(None)


def _prompt_content(prompt: SystemPrompt) -> Content:
    return Content.assemble(
        (terminal_safe(prompt.title), "bold"), "\n", (terminal_safe(prompt.text), "$foreground 70%")
    )
