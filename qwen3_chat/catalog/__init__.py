"""The Qwen3 family as the app knows it: models, their files, how each is sampled; data without any I/O."""

from __future__ import annotations

from qwen3_chat.catalog.family import (
    FAMILY,
    QUALITY_ORDER,
    FamilyModel,
    GoodFor,
    Thinking,
    find,
    other_model,
    thinking_of,
)
from qwen3_chat.catalog.files import ModelFile, Publisher
from qwen3_chat.catalog.quants import Weights, file_bytes
from qwen3_chat.catalog.sampling import (
    DEMO_NAME,
    DEMO_SAMPLING,
    QWEN3_SAMPLING,
    REPETITION_PENALTY,
    sampling_for,
)
from qwen3_chat.catalog.shape import Shape

__all__ = [
    "DEMO_NAME",
    "DEMO_SAMPLING",
    "FAMILY",
    "QUALITY_ORDER",
    "QWEN3_SAMPLING",
    "REPETITION_PENALTY",
    "FamilyModel",
    "GoodFor",
    "ModelFile",
    "Publisher",
    "Shape",
    "Thinking",
    "Weights",
    "file_bytes",
    "find",
    "other_model",
    "sampling_for",
    "thinking_of",
]
