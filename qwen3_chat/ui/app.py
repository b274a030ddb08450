"""The terminal application: its chat screen, themes, palette, clipboard and changed settings."""

from __future__ import annotations

import gc
from asyncio import to_thread
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from textual import work
from textual.app import SuspendNotSupported, SystemCommand
from textual.command import CommandPalette
from textual.screen import Screen
from textual.theme import Theme

from qwen3_chat.config.paths import APP_NAME
from qwen3_chat.config.settings_store import SettingsStore
from qwen3_chat.errors import ConfigError
from qwen3_chat.interface_log import InterfaceLog
from qwen3_chat.texts import set_key_names, t
from qwen3_chat.texts.formatting import SEPARATOR
from qwen3_chat.texts.terminal_safe import label_of_name, terminal_safe
from qwen3_chat.ui.browser import NOT_IN_BROWSER
from qwen3_chat.ui.clipboard import Clipboard, CopyRoute
from qwen3_chat.ui.error_notices import ReportingApp
from qwen3_chat.ui.key_bindings import APP_KEYS, CHAT_KEYS, MESSAGE_KEYS
from qwen3_chat.ui.keymap import Keymap
from qwen3_chat.ui.palette_commands import PaletteCommands
from qwen3_chat.ui.screens.chat_screen import ChatScreen
from qwen3_chat.ui.terminal_signals import background_sequence
from qwen3_chat.ui.textual_compat import Palette, driver_class, escape_markup, parse_action
from qwen3_chat.ui.themes import default_variables


class ChatApp(ReportingApp):
    """The application; it owns the themes, the palette and the chat screen, and receives everything else."""

    TITLE = APP_NAME
    BINDINGS = [*APP_KEYS]
    CSS = """
    OptionList, VerticalScroll, TextArea {
        scrollbar-size-vertical: 1;
        scrollbar-background: $surface;
        scrollbar-background-hover: $surface;
        scrollbar-background-active: $surface;
        scrollbar-color: $foreground 20%;
        scrollbar-color-hover: $foreground 35%;
        scrollbar-color-active: $primary;
    }
    OptionList > .option-list--option-highlighted,
    OptionList:focus > .option-list--option-highlighted {
        background: $primary 16%; color: $foreground; text-style: none;
    }
    OptionList:ansi > .option-list--option-highlighted,
    OptionList:ansi:focus > .option-list--option-highlighted {
        background: ansi_default; text-style: reverse;
    }
    OptionList > .option-list--option-disabled { color: $foreground 68%; }
    OptionList:ansi > .option-list--option-disabled { color: ansi_default; }
    CommandPalette > .command-palette--help-text { color: $foreground 76%; text-style: not bold; }
    CommandPalette:ansi > .command-palette--help-text { color: ansi_default; text-style: dim not bold; }
    TextArea > .text-area--placeholder, Input > .input--placeholder { color: $foreground 68%; }
    TextArea:ansi > .text-area--placeholder, Input:ansi > .input--placeholder { color: ansi_default; }
    ToastRack { dock: top; align: right top; margin: 1 1 0 0; }
    Toast { background: $panel; width: 60; max-width: 60%; }
    """
    ENABLE_COMMAND_PALETTE = True
    COMMANDS = {PaletteCommands}

    def __init__(
        self,
        chat_screen: ChatScreen,
        themes: Sequence[Theme],
        settings_store: SettingsStore,
        keymap: Keymap,
        clipboard_file: Path,
        notices: Sequence[str] = (),
        interface_log: InterfaceLog | None = None,
        *,
        in_browser: bool = False,
    ) -> None:
        super().__init__(interface_log, driver_class(in_browser=in_browser))
        self._chat_screen = chat_screen
        self._themes = {theme.name: theme for theme in themes}
        self._settings_store = settings_store
        self.keymap = keymap
        set_key_names({name: keymap.first_key(name) for name in keymap.keys})
        if keymap.is_changed:
            self.set_keymap(dict(keymap.keys))
        self._notices = notices
        self._clipboard_file = clipboard_file
        self._clipboard_text = ""
        self.farewell = ""
        """What the user is told after the app has ended: where the rest went that could not be stored."""
        self._system_clipboard = Clipboard(super().copy_to_clipboard, clipboard_file, in_browser=in_browser)
        for theme in themes:
            self.register_theme(theme)
        if settings_store.settings.theme in self._themes:
            self.start_with_theme(settings_store.settings.theme)
        elif self._themes:
            self.start_with_theme(next(iter(self._themes)))

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return the variables that the app's styles need and a theme may leave out."""
        return default_variables(self.current_theme)

    def get_default_screen(self) -> Screen[None]:
        """Return the chat screen, in which the app starts."""
        return self._chat_screen

    def notify(self, message: str, *, title: str = "", **options: Any) -> None:
        """Show a notice; nothing that it quotes is taken for markup or for a terminal escape."""
        super().notify(terminal_safe(message), title=terminal_safe(title), **{**options, "markup": False})

    def on_ready(self) -> None:
        """Show the problems of the configuration, and turn on the garbage collection."""
        if not gc.isenabled():  # turned off to start faster
            gc.freeze()  # exempts the objects that live as long as the app from every later collection
            gc.enable()
        if self.is_web:
            self.theme_changed_signal.subscribe(self, lambda _: self._tell_background())
            self._tell_background()
        if (theme_name := self._settings_store.settings.theme) not in self._themes:
            self.notify(t("config.no_theme", name=theme_name), severity="warning", timeout=12)
        for notice in self._notices:
            self.notify(notice, severity="warning", timeout=12)

    def _tell_background(self) -> None:
        """Have the page around the screen take the colour of the theme."""
        self.write_sequence(background_sequence(self.theme_variables["background"]))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yield every action that has a key, each theme, and the actions on the marked message."""
        for binding in (*CHAT_KEYS, *APP_KEYS, *MESSAGE_KEYS):
            _, action, parameters = parse_action(binding.action)
            is_hidden = binding in MESSAGE_KEYS and not screen.check_action(action, parameters)
            is_hidden = is_hidden or (self.is_web and binding.id in NOT_IN_BROWSER)
            if action != "command_palette" and not is_hidden:
                namespace = "app" if binding in APP_KEYS else "screen"
                run = partial(self.run_action, f"{namespace}.{binding.action}", screen)
                name = self.keymap.first_key(binding.id or "")
                about = f"{t(binding.tooltip)}{SEPARATOR}{name}"
                yield SystemCommand(t(binding.description), escape_markup(about), run)
        for name in self._themes:
            yield SystemCommand(
                escape_markup(t("ui.palette.theme", name=label_of_name(name))),
                t("ui.tip.theme"),
                partial(self.use_theme, name),
            )

    def action_command_palette(self) -> None:
        """Open the command palette."""
        if not isinstance(self.screen, CommandPalette):
            self.clear_notifications()
            self.push_screen(Palette(t("ui.palette.search"), t("ui.palette.none")))

    @property
    def clipboard(self) -> str:
        """The text copied last in this app, for its own paste key."""
        return self._clipboard_text

    def copy_to_clipboard(self, text: str) -> None:
        """Copy by the first way that works here, then notify where the text is."""
        self._clipboard_text = text
        self._copy(text)

    @work(group="copy")
    async def _copy(self, text: str) -> None:
        try:
            route = await to_thread(self._system_clipboard.copy, text)
        except OSError as error:
            self.notify(t("ui.copy_failed", reason=error.strerror or error), severity="error")
        else:
            self.notify(
                t("ui.copied_to_file", path=self._clipboard_file)
                if route is CopyRoute.FILE
                else t("ui.copied")
            )

    def on_text_selected(self) -> None:
        """Notify of the key that copies what the mouse has selected."""
        if self.screen.get_selected_text():
            self.notify(t("ui.notice.copy_selection"), timeout=4)

    def action_help(self) -> None:
        """Open the help with every key."""
        from qwen3_chat.ui.screens.help_screen import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.clear_notifications()
            self.push_screen(HelpScreen(self.keymap, self._chat_screen.input.enter_sends))

    def action_help_quit(self) -> None:
        """Notify of the key that quits; users expect Ctrl+C to."""
        self.notify(t("ui.notice.quit"), timeout=4)

    def action_next_theme(self) -> None:
        """Switch to the next theme."""
        names = list(self._themes)
        name = names[(names.index(self.theme) + 1) % len(names)] if self.theme in names else names[0]
        self.use_theme(name)
        self.clear_notifications()
        self.notify(t("ui.palette.theme", name=label_of_name(name)), timeout=3)

    def use_theme(self, name: str) -> None:
        """Switch to a theme and store it as a setting."""
        with suppress(ConfigError):  # a theme that can't be stored is no reason to interrupt
            self._settings_store.change("theme", name)
        self.theme = name

    def action_settings(self) -> None:
        """Open the settings, to be changed in place."""
        from qwen3_chat.ui.screens.settings_screen import SettingsScreen

        if not isinstance(self.screen, SettingsScreen):
            self.clear_notifications()
            self.push_screen(
                SettingsScreen(
                    self._settings_store,
                    {"theme": list(self._themes)},
                    self._apply_setting,
                    self._chat_screen.options.setting_in_force,
                )
            )

    def _apply_setting(self, name: str) -> bool:
        return self._chat_screen.apply_setting(self._settings_store.settings, name)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action of the app is possible: a browser has no shell to return to."""
        return not (self.is_web and action == "suspend_process")

    def action_suspend_process(self) -> None:
        """Stop the app and return to the shell, or notify that there is none."""
        if self.can_stop:
            super().action_suspend_process()
        else:
            self.notify(t("ui.suspend.no_shell"), severity="warning")

    def open_url(self, url: str, *, new_tab: bool = True) -> None:
        """Open a page in the browser, or notify that there is none."""
        import webbrowser

        try:
            super().open_url(url, new_tab=new_tab)
        except (webbrowser.Error, OSError, SuspendNotSupported):
            self.notify(t("ui.browser.none", url=url), severity="warning", timeout=12)

    async def action_quit(self) -> None:
        """Leave, unless something is not stored: that is told first, and the next time the app leaves."""
        if not self.is_ending and await self._chat_screen.storing.may_leave():
            await self.leave()

    async def leave(self) -> None:
        """End the running turn and store what arrived, or write it elsewhere; then exit."""
        if not self.is_ending:
            self.is_ending = True
            await self._chat_screen.shutdown()
            self.farewell = self._chat_screen.rescue()
            self.exit()
