"""The demo model as a Hugging Face folder."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest

from demo_model.tokenizer import encode
from demo_to_hugging_face import write_folder
from qwen3_chat.demo import DEMO_FILE

TEXT = "<|im_start|>user\nWhat's 17 * 23?  你好<|im_end|>\n<tool_call>\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_folder(DEMO_FILE, folder)
    return folder


def test_every_weight_can_be_read_back_by_its_offset(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    del header["__metadata__"]
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(DEMO_FILE).tensors}
    assert len(header) == len(tensors)
    assert begin % 8 == 0
    assert begin + max(entry["data_offsets"][1] for entry in header.values()) == len(data)
    for name, source in (
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.layers.5.self_attn.q_norm.weight", "blk.5.attn_q_norm.weight"),
        ("model.layers.0.mlp.down_proj.weight", "blk.0.ffn_down.weight"),
    ):
        first, last = header[name]["data_offsets"]
        array = np.frombuffer(data[begin + first : begin + last], "<f4").reshape(header[name]["shape"])
        tensor = tensors[source]
        assert np.array_equal(array, gguf.quants.dequantize(tensor.data, tensor.tensor_type))


def test_the_configuration_fits_the_weights(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    data = (folder / "model.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert header["model.embed_tokens.weight"]["shape"] == [config["vocab_size"], config["hidden_size"]]
    n_queries = config["num_attention_heads"] * config["head_dim"]
    assert header["model.layers.0.self_attn.q_proj.weight"]["shape"] == [n_queries, config["hidden_size"]]
    assert f"model.layers.{config['num_hidden_layers'] - 1}.input_layernorm.weight" in header
    assert f"model.layers.{config['num_hidden_layers']}.input_layernorm.weight" not in header


def test_the_tags_of_calls_are_one_token_each_and_stay_in_the_text(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    added = {token["content"]: token for token in tokenizer["added_tokens"]}
    assert added["<|im_end|>"]["special"]
    assert not added["<tool_call>"]["special"]
    assert not added["</think>"]["special"]
    ids = encode(TEXT)
    assert added["<|im_start|>"]["id"] == ids[0]
    assert added["<tool_call>"]["id"] in ids
    assert all(index == tokenizer["model"]["vocab"][token] for token, index in _ids(added))
    assert "<tool_call>" in (folder / "chat_template.jinja").read_text("utf-8")


def _ids(added: dict[str, dict[str, object]]) -> list[tuple[str, object]]:
    return [(token, entry["id"]) for token, entry in added.items()]
