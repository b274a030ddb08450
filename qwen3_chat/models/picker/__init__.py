"""The models to choose from: here, to be downloaded, served; and the downloads that run."""

from __future__ import annotations

from qwen3_chat.models.picker.background_downloads import Download, DownloadPhase, Downloads
from qwen3_chat.models.picker.model_picker import ModelPicker
from qwen3_chat.models.picker.model_table import (
    DiskModel,
    ModelRow,
    ModelTable,
    ModelVariant,
    ServerRow,
    build_model_table,
    identify_models,
)

__all__ = [
    "DiskModel",
    "Download",
    "DownloadPhase",
    "Downloads",
    "ModelPicker",
    "ModelRow",
    "ModelTable",
    "ModelVariant",
    "ServerRow",
    "build_model_table",
    "identify_models",
]
