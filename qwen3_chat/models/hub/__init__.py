"""The download of models from Hugging Face or ModelScope: lookup, transfer, verification."""

from __future__ import annotations

from qwen3_chat.models.hub.hub_file import HubFile
from qwen3_chat.models.hub.model_pull import pull_target
from qwen3_chat.models.hub.pull_progress import (
    CopyUsed,
    DownloadDelayed,
    DownloadProgressed,
    FileChecked,
    ModelPulled,
    PullEvent,
    SourceAsked,
)
from qwen3_chat.models.hub.retry_policy import RetryPolicy
from qwen3_chat.models.hub.sources import Hub, Source, hubs_from, mirror_hosts
from qwen3_chat.models.hub.target_resolution import PullTarget, resolve_repository, resolve_target

__all__ = [
    "CopyUsed",
    "DownloadDelayed",
    "DownloadProgressed",
    "FileChecked",
    "Hub",
    "HubFile",
    "ModelPulled",
    "PullEvent",
    "PullTarget",
    "RetryPolicy",
    "Source",
    "SourceAsked",
    "hubs_from",
    "mirror_hosts",
    "pull_target",
    "resolve_repository",
    "resolve_target",
]
