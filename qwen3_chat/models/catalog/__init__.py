"""The Qwen3 family: its models, their references, published files and sampling; data without any I/O."""

from __future__ import annotations

from qwen3_chat.chat import ThinkingSupport
from qwen3_chat.models.catalog.family import (
    FAMILY,
    FamilyModel,
    MachineClass,
    derived_model,
    find_family_model,
    thinking_support,
)
from qwen3_chat.models.catalog.model_reference import ModelReference
from qwen3_chat.models.catalog.published_files import ModelFile, Publisher
from qwen3_chat.models.catalog.quants import file_bytes
from qwen3_chat.models.catalog.sampling_presets import (
    DEMO_SAMPLING,
    QWEN3_SAMPLING,
    REPETITION_PENALTY,
    SamplingPreset,
    preset_for,
    sampling_for,
)
from qwen3_chat.models.shape import Shape
from qwen3_chat.models.weights import Weights

__all__ = [
    "DEMO_SAMPLING",
    "FAMILY",
    "QWEN3_SAMPLING",
    "REPETITION_PENALTY",
    "FamilyModel",
    "MachineClass",
    "ModelFile",
    "ModelReference",
    "Publisher",
    "SamplingPreset",
    "Shape",
    "ThinkingSupport",
    "Weights",
    "derived_model",
    "file_bytes",
    "find_family_model",
    "preset_for",
    "sampling_for",
    "thinking_support",
]
