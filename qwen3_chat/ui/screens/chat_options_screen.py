"""The options of one chat: its system prompt and the parameters of its replies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Input, Label, Static, TextArea

from qwen3_chat.config.prompt_library import PromptLibrary
from qwen3_chat.errors import UsageError
from qwen3_chat.sampling import SamplingParams
from qwen3_chat.session.turn_options import OPTION_FIELDS, OptionField
from qwen3_chat.store.records import ChatOptions
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.screens.dialog import Dialog, show_dialog
from qwen3_chat.ui.screens.prompts_screen import PromptsScreen
from qwen3_chat.ui.textual_compat import MAX_LINE_CHARACTERS
from qwen3_chat.ui.widgets.key_bar import KeyBar


class ChatSetup(Struct, frozen=True):
    """The system prompt and the options of a chat."""

    system: str
    options: ChatOptions


class OptionLine(Horizontal):
    """The line of one option: its name, its value, what it is or what is wrong with the value."""

    def __init__(self, field: OptionField, text: str, preset: str) -> None:
        super().__init__()
        self._field = field
        self.input = Input(
            text,
            placeholder=preset or t("ui.options.unlimited"),
            id=field.name,
            max_length=MAX_LINE_CHARACTERS,
        )
        self._about = Static(t(f"ui.options.{field.name}.about"), classes="about", markup=False)
        self.is_right = True

    def compose(self) -> ComposeResult:
        """Lay out the name, the value and the sentence."""
        yield Label(t(f"ui.options.{self._field.name}"), markup=False)
        yield self.input
        yield self._about

    @property
    def value(self) -> float | int | None:
        """The value; None for an empty line.

        Raises:
            UsageError: it is no number, or out of range.
        """
        return self._field.parse(self.input.value)

    def check(self) -> None:
        """Show the error of the value in place of the sentence."""
        problem = ""
        try:
            self._field.parse(self.input.value)
        except UsageError as error:
            problem = str(error)
        self.is_right = not problem
        self.input.set_class(bool(problem), "-wrong")
        self._about.set_class(bool(problem), "-wrong")
        self._about.update(problem or t(f"ui.options.{self._field.name}.about"))


class ChatOptionsScreen(Dialog[ChatSetup | None]):
    """The form for the options of a chat; it closes with them, or with None if nothing is to change.

    An empty line keeps the preset of the mode, which it shows; a bad value is reported while it is typed.
    The adapters of the model are listed below, where there are any.
    """

    BINDINGS = [
        key_binding("keep_options", "ctrl+s", "save", priority=True),
        key_binding("prompts", "ctrl+l", "prompts", priority=True),
        key_binding("clear_options", "ctrl+d", "clear", priority=True),
        key_binding("close", "escape", "close"),
    ]
    CLOSES_BY_CLICK = False
    DEFAULT_CSS = """
    ChatOptionsScreen {
        align: center middle;
        #options-box {
            width: 90%;
            max-width: 84;
            height: auto;
            max-height: 100%;
            border: round $primary;
            border-title-color: $primary;
            background: $surface;
        }
        VerticalScroll { height: auto; max-height: 100%; padding: 0 1; }
        TextArea, TextArea:focus {
            height: 6; border: none; background: $boost; padding: 0 1; margin-bottom: 1;
        }
        Horizontal { height: 1; }
        Label { width: 18; }
        Input, Input:focus { width: 11; height: 1; border: none; padding: 0 1; background: $boost; }
        Input.-wrong { background: $error 30%; text-style: underline; }
        .about { width: 1fr; padding: 0 1; color: $foreground 68%; text-wrap: nowrap; }
        .about.-wrong { color: $text-error; }
        KeyBar { background: $surface; dock: bottom; }
    }
    """

    def __init__(
        self,
        setup: ChatSetup,
        preset: SamplingParams,
        library: Callable[[], PromptLibrary],
        adapters: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self._adapters = terminal_safe(", ".join(adapters))
        self._library = library
        self.prompt = TextArea(
            setup.system, placeholder=t("ui.options.no_system"), highlight_cursor_line=False
        )
        self._lines = {
            field.name: OptionLine(field, field.format_value(setup.options), field.format_preset(preset))
            for field in OPTION_FIELDS
        }

    def compose(self) -> ComposeResult:
        """Lay out the prompt, a line for each option, and the keys."""
        with Vertical(id="options-box") as box:
            box.border_title = t("ui.options.title")
            with VerticalScroll():
                yield Static(t("ui.options.system"), markup=False)
                yield self.prompt
                yield from self._lines.values()
                if self._adapters:
                    yield Static(t("ui.options.adapters", adapters=self._adapters), markup=False)
            yield KeyBar()

    def on_mount(self) -> None:
        """Focus the prompt."""
        self.prompt.tab_behavior = "focus"
        self.prompt.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now."""
        return all(line.is_right for line in self._lines.values()) if action == "save" else True

    @on(Input.Changed)
    def check(self, message: Input.Changed) -> None:
        """Show the error of a value beside it."""
        self._lines[message.input.id or ""].check()
        self.refresh_bindings()

    @on(Input.Submitted)
    def entered(self) -> None:
        """Go to the next line."""
        self.focus_next()

    @work(exit_on_error=False)
    async def action_prompts(self) -> None:
        """Open the library and take over the chosen prompt."""
        library = self._library()
        if library.problem is not None:
            self.notify(str(library.problem), severity="warning")
        if (chosen := await show_dialog(self, PromptsScreen(library.prompts))) is not None:
            self.prompt.text = chosen.text
            self.prompt.move_cursor(self.prompt.document.end)

    def action_clear(self) -> None:
        """Clear all options, which brings back the presets."""
        for line in self._lines.values():
            line.input.value = ""

    def action_save(self) -> None:
        """Close with the values of the form, unless one of them is wrong; it may have been typed just now."""
        for line in self._lines.values():
            line.check()
        if not all(line.is_right for line in self._lines.values()):
            return
        values: dict[str, Any] = {name: line.value for name, line in self._lines.items()}
        self.dismiss(ChatSetup(self.prompt.text.strip(), ChatOptions(**values)))

    def action_close(self) -> None:
        """Close without a change."""
        self.dismiss(None)
