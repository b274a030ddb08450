"""Models from the network: found at Hugging Face or ModelScope, fetched so that no byte is lost."""

from __future__ import annotations

from qwen3_chat.hub.files import HubFile
from qwen3_chat.hub.patience import Patience
from qwen3_chat.hub.progress import (
    CopyUsed,
    DownloadDelayed,
    DownloadProgressed,
    FileChecked,
    ModelPulled,
    PullEvent,
    SourceAsked,
)
from qwen3_chat.hub.pull import pull
from qwen3_chat.hub.sources import Hub, Source, hubs_from
from qwen3_chat.hub.wanted import WantedModel, find_all, find_wanted

__all__ = [
    "CopyUsed",
    "DownloadDelayed",
    "DownloadProgressed",
    "FileChecked",
    "Hub",
    "HubFile",
    "ModelPulled",
    "Patience",
    "PullEvent",
    "Source",
    "SourceAsked",
    "WantedModel",
    "find_all",
    "find_wanted",
    "hubs_from",
    "pull",
]
