"""The list of completions above the input."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from qwen3_chat.texts.terminal_safe import label_of_name
from qwen3_chat.ui.completion import CompletionTrigger


class CompletionList(OptionList, can_focus=False):
    """The completions of the word at the cursor, hidden while there are none.

    The input keeps the focus and moves the highlight.
    """

    DEFAULT_CSS = """
    CompletionList {
        height: auto;
        max-height: 8;
        border: none;
        padding: 0 1;
        background: $panel;
        display: none;
        &.-open { display: block; }
        text-wrap: nowrap;
        text-overflow: ellipsis;
        & > .option-list--option { padding: 0 1; }
    }
    """

    trigger: CompletionTrigger | None = None
    """The word that the choices complete; None while there are none."""

    @property
    def chosen(self) -> str:
        """The highlighted choice."""
        option = self.highlighted_option
        return (option.id or "") if option is not None else ""

    def show_choices(self, trigger: CompletionTrigger | None, choices: Sequence[tuple[str, str]]) -> None:
        """Show choices, each with a description; an empty sequence closes the list."""
        self.trigger = trigger if choices else None
        self.set_class(bool(choices), "-open")
        self.clear_options()
        labels = [label_of_name(name) for name, _ in choices]
        room = max(map(cell_len, labels), default=0)
        for label, (name, about) in zip(labels, choices, strict=True):
            gap = " " * (room - cell_len(label) + 2)
            self.add_option(
                Option(Content.assemble((label, "bold"), gap, (about, "$foreground 85%")), id=name)
            )
        if choices:
            self.highlighted = 0

    def close(self) -> None:
        """Close the list."""
        self.show_choices(None, ())
