"""The settings: each with its value, what it is for, what it takes, changed in place."""

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

from qwen3_chat.config.kept import KeptSettings
from qwen3_chat.config.kinds import Kind, Setting, known_settings
from qwen3_chat.errors import ConfigError
from qwen3_chat.plain import plain
from qwen3_chat.texts import t
from qwen3_chat.ui.keys import key
from qwen3_chat.ui.screens.dialog import Dialog
from qwen3_chat.ui.widgets.key_bar import KeyBar

LABEL_CELLS = 26


class ValueEditor(TextArea):
    """The value that is being typed; Enter ends it, Ctrl+J begins a new line."""

    BINDINGS = [key("take", "enter", "take")]

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

    BINDINGS = [key("change", "enter", "select")]


class SettingsScreen(Dialog[None]):
    """Every change is in the file at once; comments there stay as they are."""

    BINDINGS = [
        key("change", "enter", "change"),
        key("earlier_choice", "left", "choose(-1)", show=False),
        key("later_choice", "right,space", "choose(1)"),
        key("reset", "ctrl+d,delete", "reset"),
        key("close", "escape", "close", priority=True),
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
        kept: KeptSettings,
        choices: Mapping[str, Sequence[str]],
        apply: Callable[[str], bool],
    ) -> None:
        """Take the settings, what the app offers for some of them, and how a change gets its effect.

        `apply` tells whether the change counts at once.
        """
        super().__init__()
        self._kept = kept
        self._choices = choices
        self._apply = apply
        self._settings = known_settings()

    def compose(self) -> ComposeResult:
        """Lay out list, explanation, line to type in, keys."""
        with Vertical(id="settings-box") as box:
            box.border_title = t("ui.settings.title")
            box.border_subtitle = plain(str(self._kept.file))
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
        mark = " " if self._kept.is_default(setting.name) else "•"
        value = self._shown(setting)
        room = max(10, min(96, self.app.size.width * 92 // 100 - 4) - LABEL_CELLS - 5)
        if cell_len(value) > room:
            value = set_cell_size(value, room - 1).rstrip() + "…"
        label = set_cell_size(setting.label, LABEL_CELLS)
        return Content.assemble((f"{mark} ", "$primary"), label, " ", (value, "bold"))

    def _shown(self, setting: Setting) -> str:
        value = self._kept.value(setting.name)
        match value:
            case bool():
                return t("ui.settings.on" if value else "ui.settings.off")
            case dict() | list() | tuple():
                return t("ui.settings.count", count=len(value)) if value else t("ui.settings.unset")
            case _:
                return plain(" ".join(setting.shown(value).split())) or t("ui.settings.unset")

    def _show(self, setting: Setting) -> None:
        self.options.replace_option_prompt(setting.name, self._line(setting))

    @on(OptionList.OptionHighlighted)
    def explain(self) -> None:
        """Say what the highlighted setting is for and what it takes."""
        self._say("")

    def _say(self, note: str) -> None:
        if setting := self.highlighted:
            words = [setting.about, self._taken(setting), *([note] if note else ())]
            self.about.update(Content("\n".join(words)))
            self.refresh_bindings()

    def _taken(self, setting: Setting) -> str:
        if setting.kind is Kind.TABLE:
            return t("ui.settings.in_file", name=setting.name)
        choices = self._choices_of(setting)
        if choices:
            taken = " · ".join(choices)
        elif setting.kind in (Kind.TEXT, Kind.TEXTS):
            taken = t(f"ui.settings.typed.{setting.kind}")
        else:
            taken = setting.allowed
        default = setting.written(setting.default) or t("ui.settings.unset")
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
                return self.typing is None and setting.kind is not Kind.TABLE
            case "reset":
                return self.typing is None and not self._kept.is_default(setting.name)
            case _:
                return True

    # what is changed

    def watch_typing(self, setting: Setting | None) -> None:
        """Show the line to type in, or hide it."""
        self.set_class(setting is not None, "-typing")
        if setting is None:
            self.options.focus()
        else:
            self.editor.text = setting.written(self._kept.value(setting.name))
            self.editor.move_cursor(self.editor.document.end)
            self.editor.focus()
        self.refresh_bindings()

    @on(OptionList.OptionSelected)
    def action_change(self) -> None:
        """Go to the next choice, or type a value."""
        setting = self.highlighted
        if setting is None or setting.kind is Kind.TABLE:
            return
        if self._choices_of(setting):
            self.action_choose(1)
        else:
            self.typing = setting

    def action_choose(self, step: int) -> None:
        """Take the next of the choices, or the one before."""
        if setting := self.highlighted:
            choices = self._choices_of(setting)
            now = setting.written(self._kept.value(setting.name)).lower()
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
                self._kept.reset(setting.name)
            except ConfigError as error:
                self._refuse(error)
            else:
                self._take_effect(setting)

    def _change(self, setting: Setting, typed: str) -> bool:
        try:
            self._kept.change(setting.name, setting.read(typed))
        except ConfigError as error:
            self._refuse(error)
            return False
        self._take_effect(setting)
        return True

    def _refuse(self, error: ConfigError) -> None:
        self.about.update(Content.assemble((plain(str(error)), "$text-error")))

    def _take_effect(self, setting: Setting) -> None:
        self._show(setting)
        counts_now = self._apply(setting.name)
        self._say("" if counts_now else t("ui.settings.next_start", label=setting.label))

    def action_close(self) -> None:
        """Leave the value as it was, or return to the chat."""
        if self.typing is not None:
            self.typing = None
            self.explain()
        else:
            self.dismiss(None)
