"""The options of one chat: its system prompt and the parameters of its replies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Input, Label, Static, TextArea

from qwen3_chat.config.prompt_library import PromptLibrary
from qwen3_chat.errors import UsageError
from qwen3_chat.sampling import SamplingParams
from qwen3_chat.session.turn_options import OPTION_FIELDS, OptionField
from qwen3_chat.store.records import ChatOptions
from qwen3_chat.texts import t
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.screens.dialog import Dialog, show_dialog
from qwen3_chat.ui.screens.prompts_screen import PromptsScreen
from qwen3_chat.ui.widgets.key_bar import KeyBar


@dataclass(frozen=True, slots=True)
class ChatSetup:
    """The system prompt and the options of a chat."""

    system: str
    options: ChatOptions


class ChatOptionsScreen(Dialog[ChatSetup | None]):
    """The form for the options of a chat; it closes with them, or with None if nothing is to change.

    An empty line keeps the preset of the mode, which it shows; a bad value is reported while it is typed.
    """

    BINDINGS = [
        key_binding("keep_options", "ctrl+s", "save", priority=True),
        key_binding("prompts", "ctrl+l", "prompts", priority=True),
        key_binding("clear_options", "ctrl+d", "clear", priority=True),
        key_binding("close", "escape", "close"),
    ]
    DEFAULT_CSS = """
    ChatOptionsScreen {
        align: center middle;
        #options-box {
            width: 90%;
            max-width: 84;
            height: auto;
            max-height: 96%;
            border: round $primary;
            border-title-color: $primary;
            background: $surface;
        }
        VerticalScroll { height: auto; max-height: 100vh; padding: 0 1; }
        TextArea, TextArea:focus {
            height: 6; border: none; background: $boost; padding: 0 1; margin-bottom: 1;
        }
        Horizontal { height: 1; }
        Label { width: 18; }
        Input, Input:focus { width: 11; height: 1; border: none; padding: 0 1; background: $boost; }
        Input.-wrong { background: $error 30%; text-style: underline; }
        .about { width: 1fr; padding: 0 1; color: $foreground 68%; text-wrap: nowrap; }
        .about.-wrong { color: $text-error; }
        KeyBar { background: $surface; }
    }
    """

    prompt = getters.query_one(TextArea)

    def __init__(
        self, setup: ChatSetup, preset: SamplingParams, library: Callable[[], PromptLibrary]
    ) -> None:
        super().__init__()
        self._setup = setup
        self._preset = preset
        self._library = library

    def compose(self) -> ComposeResult:
        """Lay out the prompt, a line for each option, and the keys."""
        with Vertical(id="options-box") as box:
            box.border_title = t("ui.options.title")
            with VerticalScroll():
                yield Static(t("ui.options.system"), markup=False)
                yield TextArea(
                    self._setup.system, placeholder=t("ui.options.no_system"), highlight_cursor_line=False
                )
                for field in OPTION_FIELDS:
                    with Horizontal():
                        yield Label(t(f"ui.options.{field.name}"), markup=False)
                        text, preset = (
                            field.format_value(self._setup.options),
                            field.format_preset(self._preset),
                        )
                        yield Input(text, placeholder=preset or t("ui.options.unlimited"), id=field.name)
                        yield Static(t(f"ui.options.{field.name}.about"), classes="about", markup=False)
            yield KeyBar()

    def on_mount(self) -> None:
        """Focus the prompt."""
        self.prompt.tab_behavior = "focus"
        self.prompt.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now."""
        return not self.query("Input.-wrong") if action == "save" else True

    @on(Input.Changed)
    def check(self, message: Input.Changed) -> None:
        """Show the error of a value beside it."""
        field = next(field for field in OPTION_FIELDS if field.name == message.input.id)
        try:
            field.parse(message.value)
            problem = ""
        except UsageError as error:
            problem = str(error)
        about = message.input.parent.query_one(".about", Static) if message.input.parent else Static()
        message.input.set_class(bool(problem), "-wrong")
        about.set_class(bool(problem), "-wrong")
        about.update(problem or t(f"ui.options.{field.name}.about"))
        self.refresh_bindings()

    @on(Input.Submitted)
    def entered(self) -> None:
        """Go to the next line."""
        self.focus_next()

    @work
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
        for line in self.query(Input):
            line.value = ""

    def action_save(self) -> None:
        """Close with the values of the form."""
        values: dict[str, Any] = {field.name: field.parse(self._line(field).value) for field in OPTION_FIELDS}
        self.dismiss(ChatSetup(self.prompt.text.strip(), ChatOptions(**values)))

    def action_close(self) -> None:
        """Close without a change."""
        self.dismiss(None)

    def _line(self, field: OptionField) -> Input:
        return self.query_one(f"#{field.name}", Input)
