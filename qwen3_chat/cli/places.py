"""Where models may be besides the app's own folder."""

from __future__ import annotations

import os
from pathlib import Path

from qwen3_chat.config import Settings, load_settings, paths_from
from qwen3_chat.library import Places, places_from


def model_places(settings: Settings | None = None) -> Places:
    """Find them by the settings, which are read unless they are given, and by the environment."""
    if settings is None:
        settings = load_settings(paths_from().settings_file).settings
    return places_from(os.environ, Path.home(), settings.model_folders)
