"""The user's settings, and the app's folders and files."""

from qwen3_chat.config.paths import Paths, expand_home, find_paths
from qwen3_chat.config.settings import Settings
from qwen3_chat.config.settings_file import LoadedSettings, read_settings, save_setting

__all__ = [
    "LoadedSettings",
    "Paths",
    "Settings",
    "expand_home",
    "find_paths",
    "read_settings",
    "save_setting",
]
