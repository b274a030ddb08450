"""The choices above the input that complete the word at the cursor."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from qwen3_chat.ui.completion import CompletionTrigger


class CompletionList(OptionList, can_focus=False):
    """Shown while there is something to choose; the input keeps the focus and moves the highlight."""

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

    offered_for: CompletionTrigger | None = None
    """What the choices complete; None while there are none."""

    @property
    def chosen(self) -> str:
        """The choice that is highlighted."""
        option = self.highlighted_option
        return (option.id or "") if option is not None else ""

    def offer(self, trigger: CompletionTrigger | None, choices: Sequence[tuple[str, str]]) -> None:
        """Show choices, each with a word on it; none close the list."""
        self.offered_for = trigger if choices else None
        self.set_class(bool(choices), "-open")
        self.clear_options()
        room = max((cell_len(name) for name, _ in choices), default=0)
        for name, about in choices:
            gap = " " * (room - cell_len(name) + 2)
            self.add_option(
                Option(Content.assemble((name, "bold"), gap, (about, "$foreground 68%")), id=name)
            )
        if choices:
            self.highlighted = 0

    def close(self) -> None:
        """Take the choices away."""
        self.offer(None, ())
