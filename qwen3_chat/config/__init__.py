"""What the user chose, with the folders where it is kept."""

from qwen3_chat.config.paths import Paths, expanded, paths_from
from qwen3_chat.config.reading import LoadedSettings, load_settings
from qwen3_chat.config.settings import Settings
from qwen3_chat.config.writing import save_setting

__all__ = ["LoadedSettings", "Paths", "Settings", "expanded", "load_settings", "paths_from", "save_setting"]
