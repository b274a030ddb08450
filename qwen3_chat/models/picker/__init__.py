"""The models to choose from: on this disk, to be downloaded, on servers; and the downloads that run."""

from __future__ import annotations

from qwen3_chat.models.picker.background_downloads import Download, DownloadPhase, Downloads
from qwen3_chat.models.picker.model_picker import ModelPicker, StartupAdapters
from qwen3_chat.models.picker.model_table import (
    INSTALLED_MARK,
    DiskModel,
    ModelRow,
    ModelTable,
    ModelVariant,
    ServerRow,
    build_model_table,
    identify_models,
)

__all__ = [
    "INSTALLED_MARK",
    "DiskModel",
    "Download",
    "DownloadPhase",
    "Downloads",
    "ModelPicker",
    "ModelRow",
    "ModelTable",
    "ModelVariant",
    "ServerRow",
    "StartupAdapters",
    "build_model_table",
    "identify_models",
]
