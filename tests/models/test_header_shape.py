"""The sizes of networks as their headers give them, compared with what llama.cpp says of the same headers."""

from __future__ import annotations

from pathlib import Path

import llama_cpp
import pytest

from qwen3_chat.models.catalog import FAMILY, FamilyModel
from qwen3_chat.models.gguf import GgufHeader, MetadataValue, read_file, read_parts
from qwen3_chat.models.gguf_names import CHAT_ARCHITECTURES, QWEN3_ARCHITECTURES, VISION_ARCHITECTURES
from qwen3_chat.models.header_shape import shape_from_metadata
from qwen3_chat.models.shape import Shape
from qwen3_chat.models.weights import WeightsSum
from tests.models.fit.hollow_gguf import metadata_of
from tests.models.hub.split_gguf import split


def shape_of(architecture: str, **numbers: object) -> Shape | None:
    entries = {key.replace("__", "."): value for key, value in numbers.items()}
    metadata = {f"{architecture}.{key}": value for key, value in entries.items()}
    return shape_from_metadata({"general.architecture": architecture, **metadata}, 1000, 0, is_tied=False)


@pytest.mark.parametrize("model", FAMILY, ids=lambda model: model.name)
def test_a_shape_is_read_off_the_metadata_of_a_file(model: FamilyModel) -> None:
    metadata: dict[str, MetadataValue] = {**metadata_of(model.shape)}  # type: ignore[dict-item]
    header = GgufHeader(3, metadata, 0, model.shape.parameters, 0, None)
    assert header.shape
    assert header.shape.is_tied == model.shape.is_tied
    assert [*header.shape.tensors()] == [*model.shape.tensors()]
    assert header.kv_bytes_per_token == 2 * sum(model.shape.kv_widths)


@pytest.mark.parametrize(
    "architecture", ["bert", "clip", "t5encoder", "qwen3tts", "wavtokenizer-dec", "", "?"]
)
def test_what_holds_no_conversation_has_no_shape(architecture: str) -> None:
    assert shape_of(architecture, block_count=2, embedding_length=64, attention__head_count=2) is None


def test_a_header_without_the_main_numbers_has_no_shape() -> None:
    assert shape_of("qwen3") is None
    assert shape_of("qwen3", block_count=2, embedding_length=64) is None


def test_kv_heads_may_differ_from_layer_to_layer() -> None:
    shape = shape_of(
        "llama", block_count=3, embedding_length=64, attention__head_count=4,
        attention__head_count_kv=[4, 2, 1], attention__key_length=16, attention__value_length=8,
    )  # fmt: skip
    assert shape
    assert shape.layer_widths == ((64, 32), (32, 16), (16, 8))


def test_layers_with_a_window_may_have_other_widths_and_shared_layers_have_none() -> None:
    shape = shape_of(
        "gemma4", block_count=4, embedding_length=64, attention__head_count=4, attention__head_count_kv=1,
        attention__key_length=32, attention__value_length=32, attention__key_length_swa=16,
        attention__value_length_swa=16, attention__sliding_window_pattern=[True, False, True, False],
        attention__shared_kv_layers=1,
    )  # fmt: skip
    assert shape
    assert shape.layer_widths == ((16, 16), (32, 32), (16, 16), (0, 0))


def test_latent_attention_caches_keys_only() -> None:
    shape = shape_of(
        "deepseek2", block_count=2, embedding_length=64, attention__head_count=4, attention__head_count_kv=1,
        attention__key_length=576, attention__value_length=512, attention__key_length_mla=192,
    )  # fmt: skip
    assert shape
    assert shape.kv_widths == (2 * 576, 0)


def test_recurrent_layers_are_those_without_kv_heads() -> None:
    shape = shape_of(
        "granitehybrid", block_count=3, embedding_length=64, attention__head_count=4,
        attention__head_count_kv=[0, 0, 2], attention__key_length=16, attention__value_length=16,
        ssm__conv_kernel=4, ssm__inner_size=128, ssm__state_size=16, ssm__group_count=1,
    )  # fmt: skip
    assert shape
    assert shape.layer_widths == ((0, 0), (0, 0), (32, 32))
    assert shape.state_bytes == 4 * 2 * (3 * (128 + 2 * 16) + 16 * 128)


def test_a_network_of_states_alone_needs_no_heads() -> None:
    shape = shape_of("mamba", block_count=2, embedding_length=64, ssm__conv_kernel=4, ssm__inner_size=128,
                     ssm__state_size=16)  # fmt: skip
    assert shape
    assert (shape.kv_widths, shape.state_bytes) == ((0, 0), 4 * 2 * (3 * 128 + 16 * 128))


def test_layers_that_draft_tokens_keep_nothing() -> None:
    shape = shape_of(
        "qwen35moe", block_count=5, nextn_predict_layers=1, embedding_length=64, attention__head_count=4,
        attention__head_count_kv=2, attention__key_length=16, ssm__conv_kernel=4, ssm__time_step_rank=4,
        ssm__group_count=2, ssm__state_size=16,
    )  # fmt: skip
    assert shape
    assert shape.layer_widths == ((0, 0), (0, 0), (0, 0), (32, 32), (0, 0))
    assert sum(tensor.layer == 4 for tensor in shape.tensors()) == 0


def test_experts_are_told_apart_by_the_names_that_llama_cpp_moves() -> None:
    table = WeightsSum()
    for layer in range(2):
        for name in ("ffn_up_exps", "ffn_down_exps", "ffn_gate_up_exps", "ffn_gate_chexps"):
            table.add(f"blk.{layer}.{name}.weight", 10)
        table.add(f"blk.{layer}.ffn_up_shexp.weight", 7)
        table.add(f"blk.{layer}.ffn_gate_inp.weight", 1)
    table.add("token_embd.weight", 100)
    table.add("output.weight", 50)
    weights = table.weights(2, n_unused_layers=1)
    assert weights
    assert (weights.layer_bytes, weights.expert_bytes, weights.unused_bytes) == ((8, 0), (40, 0), 48)
    assert (weights.embedding_bytes, weights.output_bytes, weights.is_tied) == (100, 50, False)
    assert table.weights(3) is None  # a layer is missing: one part of a split file


def test_the_parts_of_a_split_file_are_read_as_one(demo_gguf: Path, tmp_path: Path) -> None:
    whole = read_file(demo_gguf)
    names = [f"demo-Q8_0-{number:05}-of-00003.gguf" for number in (1, 2, 3)]
    for name, data in zip(names, split(demo_gguf.read_bytes(), 3), strict=True):
        (tmp_path / name).write_bytes(data)
    paths = [tmp_path / name for name in names]
    first, together = read_parts(paths[:1]), read_parts(paths)
    assert (first.weights, first.is_split) == (None, True)
    assert (together.weights, together.shape) == (whole.weights, whole.shape)
    assert together.weights


def test_every_architecture_is_one_that_the_installed_llama_cpp_knows() -> None:
    folder = Path(llama_cpp.__file__).parent / "lib"
    library = b"".join(path.read_bytes() for path in folder.iterdir() if "llama." in path.name)
    known = [name for name in CHAT_ARCHITECTURES if name.encode() in library]
    assert sorted(CHAT_ARCHITECTURES) == sorted(known)
    assert QWEN3_ARCHITECTURES < CHAT_ARCHITECTURES
    assert VISION_ARCHITECTURES < CHAT_ARCHITECTURES
