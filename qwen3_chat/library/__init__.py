"""The model files on this disk: the app's own, and those that other programs keep."""

from __future__ import annotations

from qwen3_chat.library.elsewhere import Places, copies_of, models_elsewhere, places_from
from qwen3_chat.library.installed import (
    DEMO_FILE,
    InstalledModel,
    Origin,
    answers_to,
    find_model,
    installed_models,
)
from qwen3_chat.library.removal import Removal, plan_removal, remove
from qwen3_chat.library.unfinished import Unfinished, unfinished_downloads

__all__ = [
    "DEMO_FILE",
    "InstalledModel",
    "Origin",
    "Places",
    "Removal",
    "Unfinished",
    "answers_to",
    "copies_of",
    "find_model",
    "installed_models",
    "models_elsewhere",
    "places_from",
    "plan_removal",
    "remove",
    "unfinished_downloads",
]
