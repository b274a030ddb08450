from __future__ import annotations

import pytest

from qwen3_chat.models.catalog import (
    FAMILY,
    ModelFile,
    ThinkingSupport,
    file_bytes,
    find_family_model,
)
from qwen3_chat.models.catalog.published_files import REPOSITORIES
from qwen3_chat.models.catalog.quants import BASE_TENSOR_TYPES

CLOSE_BYTES = 10_000

# counted by transformers, as the technical report rounds them: all weights, weights in use for a token
PARAMETERS = {
    "0.6B": (596_049_920, 596_049_920),
    "1.7B": (1_720_574_976, 1_720_574_976),
    "4B": (4_022_468_096, 4_022_468_096),
    "8B": (8_190_735_360, 8_190_735_360),
    "14B": (14_768_307_200, 14_768_307_200),
    "32B": (32_762_123_264, 32_762_123_264),
    "30B-A3B": (30_532_122_624, 3_353_032_704),
    "235B-A22B": (235_093_634_560, 22_190_763_520),
}
KV_VALUES = {
    "0.6B": 57_344,
    "4B": 73_728,
    "14B": 81_920,
    "32B": 131_072,
    "30B-A3B": 49_152,
    "235B-A22B": 96_256,
}


def published_files() -> list[ModelFile]:
    """Return the files whose size is published and whose mix of types is llama.cpp's own."""
    files = [file for source in REPOSITORIES for file in source.files]
    own_mix = [file for file in files if "Qwen_Qwen3-30B" not in file.filename]  # bartowski's MoE is not
    return [file for file in own_mix if file.quant in BASE_TENSOR_TYPES and file.size_is_exact]


@pytest.mark.parametrize("name", PARAMETERS)
def test_shapes_have_the_parameters_of_the_models(name: str) -> None:
    model = find_family_model(name)
    assert model
    assert (model.shape.parameters, model.shape.active_parameters) == PARAMETERS[name]


@pytest.mark.parametrize("name", KV_VALUES)
def test_a_token_takes_what_the_heads_keep(name: str) -> None:
    model = find_family_model(name)
    assert model
    assert sum(model.shape.kv_widths) == KV_VALUES[name]


@pytest.mark.parametrize("file", published_files(), ids=lambda file: f"{file.repo}:{file.quant}")
def test_the_size_of_a_published_file_is_predicted_within_10_kb(file: ModelFile) -> None:
    (model,) = [model for model in FAMILY if file in model.files]
    assert abs(file_bytes(model.shape, file.quant) - file.size_bytes) < CLOSE_BYTES


def test_the_prediction_is_put_to_many_files() -> None:
    assert len(published_files()) > 60


@pytest.mark.parametrize("name", ["8B", "8b", "Qwen3-8B", "qwen3-8b", "Qwen/Qwen3-8B", "Qwen_Qwen3-8B"])
def test_a_model_is_found_however_it_is_written(name: str) -> None:
    model = find_family_model(name)
    assert model
    assert model.title == "Qwen3-8B"


@pytest.mark.parametrize("name", ["", "7B", "Qwen3", "8B-Instruct", "8B:Q4_K_M"])
def test_what_is_not_of_the_family_is_not_found(name: str) -> None:
    assert find_family_model(name) is None


def test_official_files_come_first_and_are_pinned() -> None:
    for name in ("32B", "30B-A3B", "14B", "8B", "4B", "1.7B", "0.6B"):
        model = find_family_model(name)
        assert model
        file = model.preferred_file(model.default_quant)
        assert file
        assert file.repo == f"Qwen/Qwen3-{name}-GGUF"
        assert len(file.revision or "") == 40
        assert len(file.sha256 or "") == 64


def test_every_model_has_the_usual_quants_or_more() -> None:
    for model in FAMILY:
        assert {"Q4_K_M", "Q8_0"} <= set(model.quants)
        assert all(model.preferred_file(quant) for quant in model.quants) is not model.is_split


def test_a_file_that_nobody_lists_has_a_predicted_size() -> None:
    model = find_family_model("4B-Thinking-2507")
    assert model
    file = model.preferred_file("q6_k")
    assert file
    assert (file.repo, file.filename) == (
        "unsloth/Qwen3-4B-Thinking-2507-GGUF",
        "Qwen3-4B-Thinking-2507-Q6_K.gguf",
    )
    assert not file.size_is_exact
    assert abs(file.size_bytes - 3_306_261_600) < CLOSE_BYTES


def test_models_of_july_2025_have_a_fixed_thinking() -> None:
    fixed = {model.name: model.thinking for model in FAMILY if model.name.endswith("-2507")}
    assert ThinkingSupport.SWITCHABLE not in fixed.values()
    assert all(("Thinking" in name) == (kind is ThinkingSupport.ALWAYS) for name, kind in fixed.items())
    assert len(fixed) == 6


def test_an_unknown_mix_of_types_is_stretched_to_the_size_of_its_file() -> None:
    model = find_family_model("32B")
    assert model
    assert abs(model.weights("UD-Q4_K_XL").total_bytes - model.size_bytes("UD-Q4_K_XL")) < 1000
