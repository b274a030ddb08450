"""The settings in use, saved as they change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from qwen3_chat.config.setting_types import known_settings
from qwen3_chat.config.settings import Settings
from qwen3_chat.config.settings_file import save_setting


class SettingsStore:
    """What is changed counts from then on, and after the next start."""

    def __init__(self, settings: Settings, file: Path) -> None:
        self.settings = settings
        self.file = file

    def value(self, name: str) -> object:
        """Return what a setting is now."""
        value: object = getattr(self.settings, name)
        return value

    def is_default(self, name: str) -> bool:
        """Whether a setting is what it is where nothing is chosen."""
        return self.value(name) == known_settings()[name].default

    def change(self, name: str, value: Any) -> None:
        """Choose a value; it fits, as `Setting.parse` returned it.

        Raises:
            ConfigError: the file can't be written; nothing is changed.
        """
        save_setting(self.file, name, value)
        self.settings = replace(self.settings, **{name: value})

    def reset(self, name: str) -> None:
        """Return to the default, and take the setting out of the file.

        Raises:
            ConfigError: the file can't be written; nothing is changed.
        """
        default: Any = known_settings()[name].default
        save_setting(self.file, name, None)
        self.settings = replace(self.settings, **{name: default})
