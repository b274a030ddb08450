"""What there is to choose from: models here, models to fetch, servers, the downloads that run."""

from __future__ import annotations

from qwen3_chat.shelf.desk import ModelDesk
from qwen3_chat.shelf.downloads import Download, Downloads, Phase
from qwen3_chat.shelf.files import DiskModel, described
from qwen3_chat.shelf.rows import ModelRow, Offer, ServerRow, Shelf, shelf

__all__ = [
    "DiskModel",
    "Download",
    "Downloads",
    "ModelDesk",
    "ModelRow",
    "Offer",
    "Phase",
    "ServerRow",
    "Shelf",
    "described",
    "shelf",
]
