"""Write the demo model as a Hugging Face folder, which vLLM, mlx-lm and transformers serve.

`python scripts/demo_to_hugging_face.py FOLDER`, or with `--gguf FILE` another file of the same architecture.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from demo_model.vocabulary import CONTROL_TOKENS, USER_DEFINED_TOKENS
from qwen3_chat.demo import DEMO_FILE

_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OTHER_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_PRE_TOKENIZER = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""The splitting rule that GGUF files name `tokenizer.ggml.pre = qwen2`."""
_HEADER_ALIGNMENT = 8


def write_folder(source: Path, folder: Path) -> None:
    """Write the weights, the tokenizer and the template of a GGUF file of Qwen3's architecture."""
    reader = gguf.GGUFReader(source)
    facts = {name: value.contents() for name, value in reader.fields.items()}
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        hugging_face_name(tensor.name): np.asarray(
            gguf.quants.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32
        )
        for tensor in reader.tensors
    }
    write_safetensors(folder / "model.safetensors", weights)
    template = str(facts["tokenizer.chat_template"])
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    for name, content in {
        "config.json": _config(facts, weights),
        "generation_config.json": {"eos_token_id": facts["tokenizer.ggml.eos_token_id"]},
        "tokenizer.json": _tokenizer(facts),
        "tokenizer_config.json": _tokenizer_config(facts, template),
    }.items():
        (folder / name).write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def hugging_face_name(name: str) -> str:
    """Translate a parameter's name in a GGUF file to its name in transformers."""
    if not name.startswith("blk."):
        return _OTHER_NAMES[name]
    _, layer, base, suffix = name.split(".")
    return f"model.layers.{layer}.{_LAYER_NAMES[base]}.{suffix}"


def write_safetensors(path: Path, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Write arrays in the safetensors format: the size of a header, the header as JSON, the bytes."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, array in weights.items():
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _HEADER_ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in weights.values():
            file.write(np.ascontiguousarray(array, dtype="<f4").tobytes())


def _config(facts: Mapping[str, Any], weights: Mapping[str, NDArray[np.float32]]) -> dict[str, Any]:
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": weights["model.embed_tokens.weight"].shape[0],
        "hidden_size": facts["qwen3.embedding_length"],
        "intermediate_size": facts["qwen3.feed_forward_length"],
        "num_hidden_layers": facts["qwen3.block_count"],
        "num_attention_heads": facts["qwen3.attention.head_count"],
        "num_key_value_heads": facts["qwen3.attention.head_count_kv"],
        "head_dim": facts["qwen3.attention.key_length"],
        "rms_norm_eps": float(facts["qwen3.attention.layer_norm_rms_epsilon"]),
        "rope_theta": float(facts["qwen3.rope.freq_base"]),
        "max_position_embeddings": facts["qwen3.context_length"],
        "tie_word_embeddings": "lm_head.weight" not in weights,
        "torch_dtype": "float32",
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "eos_token_id": facts["tokenizer.ggml.eos_token_id"],
        "pad_token_id": facts["tokenizer.ggml.padding_token_id"],
        "use_sliding_window": False,
    }


def _tokenizer(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tokenizer; the tags are no special tokens, so that they stay in the text of a reply."""
    tokens: list[str] = facts["tokenizer.ggml.tokens"]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = {
        "type": "Split",
        "pattern": {"Regex": _PRE_TOKENIZER},
        "behavior": "Isolated",
        "invert": False,
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": list(_added_tokens(tokens)),
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in facts["tokenizer.ggml.merges"]],
        },
    }


def _added_tokens(tokens: list[str]) -> Iterable[dict[str, Any]]:
    for token in (*CONTROL_TOKENS, *USER_DEFINED_TOKENS):
        yield {
            "id": tokens.index(token),
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": token in CONTROL_TOKENS,
        }


def _tokenizer_config(facts: Mapping[str, Any], template: str) -> dict[str, Any]:
    added = list(_added_tokens(facts["tokenizer.ggml.tokens"]))
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": facts["qwen3.context_length"],
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "bos_token": None,
        "unk_token": None,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "chat_template": template,
        "tool_parser_type": "json_tools",  # which mlx-lm infers from the template of Qwen3 itself
        "added_tokens_decoder": {
            str(token["id"]): {key: value for key, value in token.items() if key != "id"} for token in added
        },
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gguf", type=Path, default=DEMO_FILE)
    arguments = parser.parse_args()
    write_folder(arguments.gguf, arguments.folder)
    print(f"The model is in {arguments.folder}.")


if __name__ == "__main__":
    main()
