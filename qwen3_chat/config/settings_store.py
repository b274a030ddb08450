"""The settings in use, saved as they change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qwen3_chat.config.setting_types import known_settings
from qwen3_chat.config.settings import Settings
from qwen3_chat.config.settings_file import save_setting
from qwen3_chat.record_copies import replace


class SettingsStore:
    """The settings in use; a change counts at once and after the next start."""

    def __init__(self, settings: Settings, file: Path) -> None:
        self.settings = settings
        self.file = file

    def value(self, name: str) -> object:
        """Return the value of a setting."""
        value: object = getattr(self.settings, name)
        return value

    def is_default(self, name: str) -> bool:
        """Return True if a setting has its default."""
        return self.value(name) == known_settings()[name].default

    def change(self, name: str, value: Any) -> None:
        """Set a value that `Setting.parse` returned, and save it.

        Raises:
            ConfigError: the file can't be written; nothing is changed.
        """
        save_setting(self.file, name, value)
        self.settings = replace(self.settings, **{name: value})

    def reset(self, name: str) -> None:
        """Set the default again, and remove the setting from the file.

        Raises:
            ConfigError: the file can't be written; nothing is changed.
        """
        default: Any = known_settings()[name].default
        save_setting(self.file, name, None)
        self.settings = replace(self.settings, **{name: default})
