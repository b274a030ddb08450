"""The settings: each with its value, its purpose and the values it takes, changed in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.cells import cell_len, set_cell_size
from textual import events, getters, on
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
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.screens.dialog import Dialog
from qwen3_chat.ui.widgets.key_bar import KeyBar

LABEL_CELLS = 26


class ValueEditor(TextArea):
    """The value that is being typed; Enter ends it, Ctrl+J begins a new line."""

    BINDINGS = [key_binding("take", "enter", "take")]

    class Submitted(Message):
        """The value is complete."""

    def action_take(self) -> None:
        """Hand the value over."""
        self.post_message(self.Submitted())

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            event.prevent_default()  # no new line; the binding takes it
        elif event.key == "ctrl+j":
            event.prevent_default().stop()
            self.insert("\n")
        else:
            await super()._on_key(event)


class SettingList(OptionList):
    """The list; its Enter key is one of ours, so that the line of keys shows it."""

    BINDINGS = [key_binding("change", "enter", "select")]


class SettingsScreen(Dialog[None]):
    """Every change is in the file at once; comments there stay as they are."""

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

    options = getters.query_one(OptionList)
    editor = getters.query_one(ValueEditor)
    about = getters.query_one("#settings-about", Static)

    def __init__(
        self,
        settings_store: SettingsStore,
        choices: Mapping[str, Sequence[str]],
        apply: Callable[[str], bool],
    ) -> None:
        """Take the settings, what the app offers for some of them, and how a change gets its effect.

        `apply` tells whether the change counts at once.
        """
        super().__init__()
        self._settings_store = settings_store
        self._choices = choices
        self._apply = apply
        self._settings = known_settings()

    def compose(self) -> ComposeResult:
        """Lay out list, explanation, line to type in, keys."""
        with Vertical(id="settings-box") as box:
            box.border_title = t("ui.settings.title")
            box.border_subtitle = terminal_safe(str(self._settings_store.file))
            yield SettingList(*(self._option(setting) for setting in self._settings.values()))
            yield Static(id="settings-about", markup=False)
            yield ValueEditor(compact=True, highlight_cursor_line=False)
            yield KeyBar()

    def on_mount(self) -> None:
        """Begin at the first setting."""
        self.options.focus()
        self.options.highlighted = 0

    def on_resize(self) -> None:
        """Fit the values to the width."""
        for setting in self._settings.values():
            self._show(setting)

    # what is shown

    def _option(self, setting: Setting) -> Option:
        return Option(self._line(setting), id=setting.name)

    def _line(self, setting: Setting) -> Content:
        mark = " " if self._settings_store.is_default(setting.name) else "•"
        value = self._shown_value(setting)
        room = max(10, min(96, self.app.size.width * 92 // 100 - 4) - LABEL_CELLS - 5)
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
                return terminal_safe(" ".join(setting.format_for_display(value).split())) or t(
                    "ui.settings.unset"
                )

    def _show(self, setting: Setting) -> None:
        self.options.replace_option_prompt(setting.name, self._line(setting))

    @on(OptionList.OptionHighlighted)
    def explain(self) -> None:
        """Say what the highlighted setting is for and what it takes."""
        self._explain("")

    def _explain(self, note: str) -> None:
        if setting := self.highlighted:
            words = [setting.about, self._accepted_values(setting), *([note] if note else ())]
            self.about.update(Content("\n".join(words)))
            self.refresh_bindings()

    def _accepted_values(self, setting: Setting) -> str:
        if setting.type is SettingType.TABLE:
            return t("ui.settings.in_file", name=setting.name)
        choices = self._choices_of(setting)
        if choices:
            taken = " · ".join(choices)
        elif setting.type in (SettingType.TEXT, SettingType.TEXTS):
            taken = t(f"ui.settings.typed.{setting.type}")
        else:
            taken = setting.allowed
        default = setting.format_for_input(setting.default) or t("ui.settings.unset")
        return t("ui.settings.taken", name=setting.name, taken=taken, default=default)

    def _choices_of(self, setting: Setting) -> Sequence[str]:
        return self._choices.get(setting.name, setting.choices)

    @property
    def highlighted(self) -> Setting | None:
        """The setting that the keys act on."""
        option = self.options.highlighted_option
        return self._settings[option.id] if option is not None and option.id else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done now."""
        if not self.is_mounted or (setting := self.highlighted) is None:
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

    # what is changed

    def watch_typing(self, setting: Setting | None) -> None:
        """Show the line to type in, or hide it."""
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
        """Go to the next choice, or type a value."""
        setting = self.highlighted
        if setting is None or setting.type is SettingType.TABLE:
            return
        if self._choices_of(setting):
            self.action_choose(1)
        else:
            self.typing = setting

    def action_choose(self, step: int) -> None:
        """Take the next of the choices, or the one before."""
        if setting := self.highlighted:
            choices = self._choices_of(setting)
            now = setting.format_for_input(self._settings_store.value(setting.name)).lower()
            place = choices.index(now) + step if now in choices else 0
            self._change(setting, choices[place % len(choices)])

    @on(ValueEditor.Submitted)
    def typed(self) -> None:
        """Take the value that was typed, or say why it does not fit."""
        if (setting := self.typing) and self._change(setting, self.editor.text):
            self.typing = None

    def action_reset(self) -> None:
        """Return to the default."""
        if setting := self.highlighted:
            try:
                self._settings_store.reset(setting.name)
            except ConfigError as error:
                self._refuse(error)
            else:
                self._take_effect(setting)

    def _change(self, setting: Setting, typed: str) -> bool:
        try:
            self._settings_store.change(setting.name, setting.parse(typed))
        except ConfigError as error:
            self._refuse(error)
            return False
        self._take_effect(setting)
        return True

    def _refuse(self, error: ConfigError) -> None:
        self.about.update(Content.assemble((terminal_safe(str(error)), "$text-error")))

    def _take_effect(self, setting: Setting) -> None:
        self._show(setting)
        counts_now = self._apply(setting.name)
        self._explain("" if counts_now else t("ui.settings.next_start", label=setting.label))

    def action_close(self) -> None:
        """Leave the value as it was, or return to the chat."""
        if self.typing is not None:
            self.typing = None
            self.explain()
        else:
            self.dismiss(None)
