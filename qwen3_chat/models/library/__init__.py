"""The model files on this disk: the app's own, and those of other programs."""

from __future__ import annotations

from qwen3_chat.models.library.external_models import (
    ModelDirs,
    find_local_copies,
    find_model_dirs,
    list_external_models,
    list_models_on_disk,
)
from qwen3_chat.models.library.installed_models import (
    InstalledModel,
    Origin,
    PartialDownload,
    find_model_file,
    list_installed_models,
    list_partial_downloads,
    matches_reference,
)
from qwen3_chat.models.library.model_removal import Removal, apply_removal, plan_removal
from qwen3_chat.models.library.stored_files import StoredFiles, list_stored_files

__all__ = [
    "InstalledModel",
    "ModelDirs",
    "Origin",
    "PartialDownload",
    "Removal",
    "StoredFiles",
    "apply_removal",
    "find_local_copies",
    "find_model_dirs",
    "find_model_file",
    "list_external_models",
    "list_installed_models",
    "list_models_on_disk",
    "list_partial_downloads",
    "list_stored_files",
    "matches_reference",
    "plan_removal",
]
