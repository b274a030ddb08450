"""The check of `models.toml`, which contributors extend."""

from __future__ import annotations

import re

import pytest

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.models.catalog import MachineClass, find_family_model, preset_for, thinking_support
from qwen3_chat.models.catalog.model_data import ModelData, PresetData, load_model_data
from qwen3_chat.models.gguf_names import CHAT_ARCHITECTURES
from qwen3_chat.record_copies import field_names
from qwen3_chat.sampling import SamplingParams, sampling_parameter

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+-GGUF")
_SOURCE = re.compile(r"https://[\w./#-]+")
CLOSE_SHARE = 0.003

DATA = load_model_data()


@pytest.mark.parametrize("preset", DATA.presets, ids=lambda preset: preset.name)
def test_a_preset_names_its_source_and_keeps_to_the_ranges(preset: PresetData) -> None:
    assert _SOURCE.fullmatch(preset.source)
    assert set(preset.architectures) <= CHAT_ARCHITECTURES
    assert all(part == part.lower() for part in preset.names)
    for params in (preset.think, preset.no_think):
        for name in field_names(SamplingParams):
            assert getattr(params, name) in sampling_parameter(name).range, name
    assert preset.think.temperature > 0  # greedy thinking repeats itself


@pytest.mark.parametrize("model", DATA.models, ids=lambda model: model.name)
def test_a_model_can_be_found_planned_and_downloaded(model: ModelData) -> None:
    assert _SOURCE.fullmatch(model.source)
    assert model.repositories
    assert all(map(_REPOSITORY.fullmatch, model.repositories))
    assert any(repository.startswith("unsloth/") for repository in model.repositories)
    assert model.shape.architecture in CHAT_ARCHITECTURES
    assert model.shape.to_shape().has_known_tensors
    assert MachineClass(model.good_for)
    found = find_family_model(model.name)
    assert found
    assert found.title.startswith("Qwen3")
    assert find_family_model(found.title) is found
    assert found.size_bytes("Q4_K_M") > found.shape.parameters / 2
    assert thinking_support(found.title) in (None, model.thinking)


def test_no_name_stands_twice() -> None:
    for names in ([preset.name for preset in DATA.presets], [model.name for model in DATA.models]):
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("quant", "size_gb"), [("Q4_K_M", 48.4), ("Q5_K_M", 56.7), ("Q6_K", 65.5), ("Q8_0", 84.8)]
)
def test_the_predicted_sizes_are_those_of_published_files(quant: str, size_gb: float) -> None:
    model = find_family_model("Qwen3-Next-80B-A3B-Thinking")  # of Qwen/Qwen3-Next-80B-A3B-Thinking-GGUF
    assert model
    assert model.size_bytes(quant) / 1e9 == pytest.approx(size_gb, rel=CLOSE_SHARE)


def test_a_model_that_sees_pictures_is_found_sized_as_published_and_said_to_read_text_only() -> None:  # C8
    model = find_family_model("Qwen3-VL-8B-Instruct")
    assert model
    assert model.size_bytes("Q4_K_M") == pytest.approx(
        5_027_784_800, rel=1e-4
    )  # Qwen/Qwen3-VL-8B-Instruct-GGUF
    assert model.reads_text_only


@pytest.mark.parametrize(
    ("architecture", "name", "preset"),
    [
        ("qwen3", "Qwen3 8B", "qwen3"),
        ("qwen3moe", "Qwen3-Coder-30B-A3B-Instruct", "qwen3-coder"),
        ("", "unsloth_Qwen3 Coder 30B", "qwen3-coder"),
        ("qwen35moe", "a tuned one", "qwen3.5"),
        ("qwen3vl", "Qwen3-VL-8B-Instruct", "qwen3-vl"),
        ("", "Qwen3.6-27B", "qwen3.5"),
        ("qwen3next", "Qwen3-Next-80B-A3B-Instruct", "qwen3"),
        ("llama", "A Llama", "qwen3"),
    ],
)
def test_a_model_gets_the_preset_of_its_family_or_the_default_one(
    architecture: str, name: str, preset: str
) -> None:
    found = preset_for(architecture, name)
    assert found.name == preset
    assert found.sampling(ThinkingMode.THINK) is found.think
    assert found.sampling(ThinkingMode.NO_THINK) is found.no_think
