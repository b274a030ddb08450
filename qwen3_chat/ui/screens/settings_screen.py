"""The dialog with the settings, each with its value, purpose and allowed values, changed in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.cells import cell_len, set_cell_size
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import var
from textual.widgets import OptionList, Static, TextArea
from textual.widgets.option_list import Option

from qwen3_chat.config.setting_types import Setting, SettingType, known_settings
from qwen3_chat.config.settings_store import SettingsStore
from qwen3_chat.errors import ConfigError
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.screens.dialog import Dialog
from qwen3_chat.ui.textual_compat import SteadyOptionList
from qwen3_chat.ui.widgets.key_bar import KeyBar

LABEL_CELLS = 26
BOX_WIDTH_PERCENT, MAX_BOX_CELLS = 92, 100
"""The width of the box in percent of the screen, and at most; `SettingsScreen.DEFAULT_CSS` has the same."""
FRAME_CELLS = 4
"""The cells of the box's border and of the list's padding, on both sides."""


class ValueEditor(TextArea):
    """The editor of a value; Enter ends it, Ctrl+J begins a new line."""

    BINDINGS = [key_binding("take", "enter", "take")]

    class Submitted(Message):
        """The message that the value is complete."""

    def action_take(self) -> None:
        """Post that the value is complete."""
        self.post_message(self.Submitted())

    def on_key(self, event: events.Key) -> None:
        """Leave Enter to the binding and break the line at Ctrl+J."""
        if event.key == "enter":
            event.prevent_default()  # no new line; the binding takes it
        elif event.key == "ctrl+j":
            event.prevent_default().stop()
            self.insert("\n")


class SettingList(SteadyOptionList):
    """The list of settings; it declares its Enter key itself, so that the key bar shows it."""

    BINDINGS = [key_binding("change", "enter", "select")]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now: Enter only where the screen has something to change."""
        return self.screen.check_action("change", ()) if action == "select" else True


class SettingsScreen(Dialog[None]):
    """The settings; every change is written to the file at once, whose comments stay."""

    BINDINGS = [
        key_binding("change", "enter", "change"),
        key_binding("earlier_choice", "left", "choose(-1)", show=False),
        key_binding("later_choice", "right,space", "choose(1)"),
        key_binding("reset", "ctrl+d,delete", "reset"),
        key_binding("close", "escape", "close", priority=True),
        Binding("f12", "close", show=False),
    ]
    DEFAULT_CSS = """
    SettingsScreen {
        align: center middle;
        #settings-box {
            width: 92%;
            max-width: 100;
            height: 90%;
            border: round $primary;
            border-title-color: $primary;
            border-subtitle-color: $foreground 68%;
            background: $surface;
        }
        SettingList, SettingList:focus { border: none; height: 1fr; background: $surface; padding: 0; }
        SettingList > .option-list--option { padding: 0 1; }
        #settings-about { height: auto; min-height: 3; padding: 0 1; margin-top: 1; color: $foreground 80%; }
        ValueEditor, ValueEditor:focus {
            height: auto;
            max-height: 6;
            border: none;
            background: $boost;
            padding: 0 1;
            margin: 0 1;
            display: none;
        }
        &.-typing ValueEditor { display: block; }
        KeyBar { background: $surface; }
    }
    """

    typing: var[Setting | None] = var(None, init=False)
    """The setting whose value is being typed."""

    def __init__(
        self,
        settings_store: SettingsStore,
        choices: Mapping[str, Sequence[str]],
        apply: Callable[[str], bool],
        in_force: Callable[[str], str] = lambda _: "",
    ) -> None:
        """Take the settings, the app's own choices for some of them, and the function that applies a change.

        `apply` returns True if the change takes effect at once; `in_force` returns what holds where a setting
        has no value, empty where that can't be told.
        """
        super().__init__()
        self._settings_store = settings_store
        self._choices = choices
        self._apply = apply
        self._in_force = in_force
        self._settings = known_settings()
        self._box = Vertical(id="settings-box")
        self.options = SettingList()
        self.about = Static(id="settings-about", markup=False)
        self.editor = ValueEditor(compact=True, highlight_cursor_line=False)

    def compose(self) -> ComposeResult:
        """Lay out the list, the explanation, the editor and the keys."""
        with self._box:
            self._box.border_title = t("ui.settings.title")
            self._box.border_subtitle = terminal_safe(str(self._settings_store.file))
            yield self.options
            yield self.about
            yield self.editor
            yield KeyBar()

    def on_mount(self) -> None:
        """List the settings, fitted to the width of the terminal, and highlight the first."""
        self.options.add_options(self._option(setting) for setting in self._settings.values())
        self.options.focus()
        self.options.highlighted = 0
        self.app.theme_changed_signal.subscribe(self, lambda _: self._follow_theme())

    def on_resize(self) -> None:
        """Fit the values to the new width."""
        for setting in self._settings.values():
            self._show(setting)

    def _follow_theme(self) -> None:
        """Show the theme that a key has chosen meanwhile."""
        self._show(self._settings["theme"])
        self.refresh_bindings()

    # the list and the explanation

    def _option(self, setting: Setting) -> Option:
        return Option(self._line(setting), id=setting.name)

    def _line(self, setting: Setting) -> Content:
        mark = " " if self._settings_store.is_default(setting.name) else "•"
        value = self._shown_value(setting)
        box_cells = min(MAX_BOX_CELLS, self.app.size.width * BOX_WIDTH_PERCENT // 100)
        room = max(10, box_cells - FRAME_CELLS - LABEL_CELLS - 5)
        if cell_len(value) > room:
            value = set_cell_size(value, room - 1).rstrip() + "…"
        label = set_cell_size(setting.label, LABEL_CELLS)
        return Content.assemble((f"{mark} ", "$primary"), label, " ", (value, "bold"))

    def _shown_value(self, setting: Setting) -> str:
        value = self._settings_store.value(setting.name)
        match value:
            case bool():
                return t("ui.settings.on" if value else "ui.settings.off")
            case dict() | list() | tuple():
                return t("ui.settings.count", count=len(value)) if value else t("ui.settings.unset")
            case _:
                text = setting.format_for_display(value)
                if not text and (in_force := self._in_force(setting.name)):
                    text = t("ui.settings.in_force", value=in_force)
                return terminal_safe(" ".join(text.split())) or t("ui.settings.unset")

    def _show(self, setting: Setting) -> None:
        self.options.replace_option_prompt(setting.name, self._line(setting))

    @on(OptionList.OptionHighlighted)
    def explain(self) -> None:
        """Explain the highlighted setting and its allowed values."""
        self._explain("")

    def _explain(self, note: str) -> None:
        if setting := self.highlighted:
            lines = [setting.about, self._accepted_values(setting), *([note] if note else ())]
            self.about.update(Content("\n".join(lines)))
            self.refresh_bindings()

    def _accepted_values(self, setting: Setting) -> str:
        if setting.type is SettingType.TABLE:
            return t("ui.settings.in_file", name=setting.name)
        choices = self._choices_of(setting)
        if choices:
            accepted = SEPARATOR.join(choices)
        elif setting.type in (SettingType.TEXT, SettingType.TEXTS):
            accepted = t(f"ui.settings.typed.{setting.type}")
        else:
            accepted = setting.allowed
        default = setting.format_for_input(setting.default) or t("ui.settings.unset")
        return t("ui.settings.taken", name=setting.name, taken=accepted, default=default)

    def _choices_of(self, setting: Setting) -> Sequence[str]:
        return self._choices.get(setting.name, setting.choices)

    @property
    def highlighted(self) -> Setting | None:
        """The highlighted setting, on which the keys act."""
        option = self.options.highlighted_option
        return self._settings[option.id] if option is not None and option.id else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now."""
        if (setting := self.highlighted) is None:
            return True
        match action:
            case "choose":
                return self.typing is None and bool(self._choices_of(setting))
            case "change":
                return self.typing is None and setting.type is not SettingType.TABLE
            case "reset":
                return self.typing is None and not self._settings_store.is_default(setting.name)
            case _:
                return True

    # changes

    def watch_typing(self, setting: Setting | None) -> None:
        """Show or hide the editor of a value."""
        self.set_class(setting is not None, "-typing")
        if setting is None:
            self.options.focus()
        else:
            self.editor.text = setting.format_for_input(self._settings_store.value(setting.name))
            self.editor.move_cursor(self.editor.document.end)
            self.editor.focus()
        self.refresh_bindings()

    @on(OptionList.OptionSelected)
    def action_change(self) -> None:
        """Take the next choice, or open the editor of a value."""
        setting = self.highlighted
        if setting is None or setting.type is SettingType.TABLE:
            return
        if self._choices_of(setting):
            self.action_choose(1)
        else:
            self.typing = setting

    def action_choose(self, step: int) -> None:
        """Take the next or the previous choice."""
        if setting := self.highlighted:
            choices = self._choices_of(setting)
            current = setting.format_for_input(self._settings_store.value(setting.name)).lower()
            index = choices.index(current) + step if current in choices else 0
            self._change(setting, choices[index % len(choices)])

    @on(ValueEditor.Submitted)
    def typed(self) -> None:
        """Set the typed value, or show why it is not allowed."""
        if (setting := self.typing) and self._change(setting, self.editor.text):
            self.typing = None

    def action_reset(self) -> None:
        """Reset the highlighted setting to its default."""
        if setting := self.highlighted:
            try:
                self._settings_store.reset(setting.name)
            except ConfigError as error:
                self._show_error(error)
            else:
                self._take_effect(setting)

    def _change(self, setting: Setting, typed: str) -> bool:
        try:
            self._settings_store.change(setting.name, setting.parse(typed))
        except ConfigError as error:
            self._show_error(error)
            return False
        self._take_effect(setting)
        return True

    def _show_error(self, error: ConfigError) -> None:
        self.about.update(Content.assemble((terminal_safe(str(error)), "$text-error")))

    def _take_effect(self, setting: Setting) -> None:
        counts_now = self._apply(setting.name)
        if setting.name == "language":
            for other in self._settings.values():
                self._show(other)
            self._box.border_title = t("ui.settings.title")
        self._show(setting)
        self._explain("" if counts_now else t("ui.settings.next_start", label=setting.label))

    def action_close(self) -> None:
        """Close the editor without a change, or return to the chat."""
        if self.typing is not None:
            self.typing = None
            self.explain()
        else:
            self.dismiss(None)
