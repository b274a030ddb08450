"""The dialog in which the model that drafts is chosen, by what each would do for one model."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from qwen3_chat.models.picker.draft_choice import DraftChoice
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.model_list import IN_USE_MARK, draft_value_label
from qwen3_chat.ui.screens.dialog import Dialog
from qwen3_chat.ui.textual_compat import SteadyOptionList
from qwen3_chat.ui.themes import DIM
from qwen3_chat.ui.widgets.key_bar import KeyBar

MAX_VALUE_CELLS = 26


class DraftChoiceScreen(Dialog[str | None]):
    """The choices with what each means for a model; it closes with the chosen value, or with None.

    A choice that does not suit the model is refused with a sentence, and the dialog stays.
    """

    BINDINGS = [
        key_binding("choose", "enter", "choose", priority=True),
        key_binding("close", "escape", "close"),
    ]
    DEFAULT_CSS = """
    DraftChoiceScreen {
        align: center middle;
        #drafts-box {
            width: 92%;
            max-width: 84;
            height: auto;
            max-height: 100%;
            border: round $primary;
            border-title-color: $primary;
            background: $surface;
        }
        OptionList, OptionList:focus {
            border: none; height: auto; max-height: 10; background: $surface; padding: 0;
            text-wrap: nowrap; text-overflow: ellipsis; scrollbar-size-vertical: 1;
        }
        OptionList > .option-list--option { padding: 0 1; }
        #drafts-about {
            height: 4; padding: 0 1; border-top: solid $primary 40%; color: $foreground 80%;
        }
        KeyBar { background: $surface; }
        &.-short OptionList { max-height: 5; }
    }
    """

    def __init__(self, target_title: str, options: Sequence[DraftChoice], value: str) -> None:
        super().__init__()
        self._target_title = target_title
        self._choices = tuple(options)
        self._value = value
        values = [option.value for option in self._choices]
        self._first = values.index(value) if value in values else 0
        cells = max(cell_len(draft_value_label(one)) for one in values)
        self._value_cells = min(MAX_VALUE_CELLS, cells) + 2
        self.options = SteadyOptionList(*(Option(self._line(option)) for option in self._choices))
        self.about = Static(id="drafts-about", markup=False)

    def compose(self) -> ComposeResult:
        """Lay out the list, the sentence about the highlighted choice, and the keys."""
        with Vertical(id="drafts-box") as box:
            box.border_title = terminal_safe(t("ui.drafts.title", model=self._target_title))
            yield self.options
            yield self.about
            yield KeyBar()

    def on_mount(self) -> None:
        """Highlight the choice in force."""
        self.options.focus()
        self.options.highlighted = self._first

    def _line(self, option: DraftChoice) -> Content:
        mark = IN_USE_MARK if option.value == self._value else " "
        label = terminal_safe(draft_value_label(option.value))
        if cell_len(label) > MAX_VALUE_CELLS:
            label = set_cell_size(label, MAX_VALUE_CELLS - 1) + "…"
        value = f"{mark} {set_cell_size(label, self._value_cells)}"
        return Content.assemble(
            (value, "bold" if option.state.can_be_chosen else DIM), (terminal_safe(option.phrase), DIM)
        )

    @property
    def highlighted(self) -> DraftChoice:
        """The highlighted choice."""
        return self._choices[self.options.highlighted or 0]

    @on(OptionList.OptionHighlighted)
    def explain(self) -> None:
        """Explain the highlighted choice."""
        self.about.update(Content(terminal_safe(self.highlighted.sentence)))

    @on(OptionList.OptionSelected)
    def action_choose(self) -> None:
        """Close with the highlighted choice, or refuse it with its sentence."""
        option = self.highlighted
        if option.state.can_be_chosen:
            self.dismiss(option.value)
        else:
            self.about.update(Content.styled(terminal_safe(option.sentence), "$warning bold"))

    def action_close(self) -> None:
        """Close without a choice."""
        self.dismiss(None)
