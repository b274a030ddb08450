"""GGUF files with the tensor table of a real model and holes for weights, which take no room on the disk."""

from __future__ import annotations

import struct
from pathlib import Path

from qwen3_chat.models.catalog import Shape
from qwen3_chat.models.catalog.quants import tensor_bytes, tensor_type

_TYPES = {
    "F32": 0,
    "Q5_0": 6,
    "Q8_0": 8,
    "Q2_K": 10,
    "Q3_K": 11,
    "Q4_K": 12,
    "Q5_K": 13,
    "Q6_K": 14,
    "BF16": 30,
}
_U32, _F32, _STRING, _ARRAY = 4, 6, 8, 9


Value = str | int | float | list[int]


def write(path: Path, shape: Shape, quant: str) -> Path:
    """Write a file of the real length, without a vocabulary."""
    metadata = {**metadata_of(shape), "tokenizer.ggml.model": "none"}
    tensors = list(shape.tensors())
    head = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(metadata))]
    for key, value in metadata.items():
        head += [_string(key), _value(value)]
    offset = 0
    for tensor in tensors:
        kind = tensor_type(tensor, shape, quant)
        dimensions = b"".join(struct.pack("<Q", size) for size in tensor.dimensions)
        head += [_string(tensor.name), struct.pack("<I", len(tensor.dimensions)), dimensions]
        head.append(struct.pack("<IQ", _TYPES[kind], offset))
        offset += tensor_bytes(tensor, kind)
    data = b"".join(head)
    data += bytes(-len(data) % 32)
    with path.open("wb") as file:
        file.write(data)
        file.truncate(len(data) + offset)
    return path


def metadata_of(shape: Shape) -> dict[str, Value]:
    """Return the entries that describe a network."""
    name = shape.architecture
    metadata: dict[str, Value] = {
        "general.architecture": name,
        f"{name}.vocab_size": shape.n_vocab,
        f"{name}.block_count": shape.n_layers,
        f"{name}.context_length": 40_960,
        f"{name}.embedding_length": shape.n_embd,
        f"{name}.feed_forward_length": shape.n_ff,
        f"{name}.attention.head_count": shape.n_heads,
        f"{name}.attention.head_count_kv": shape.n_kv_heads,
        f"{name}.attention.key_length": shape.head_dim,
        f"{name}.attention.value_length": shape.head_dim,
        f"{name}.attention.layer_norm_rms_epsilon": 1e-6,
        f"{name}.rope.freq_base": 1e6,
    }
    if shape.n_experts:
        metadata |= {
            f"{name}.expert_count": shape.n_experts,
            f"{name}.expert_used_count": shape.n_experts_used,
            f"{name}.expert_feed_forward_length": shape.n_expert_ff,
        }
    if shape.n_shared_ff:
        metadata[f"{name}.expert_shared_feed_forward_length"] = shape.n_shared_ff
    if shape.n_deepstack_layers:
        metadata[f"{name}.n_deepstack_layers"] = shape.n_deepstack_layers
    if name in ("qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe"):
        sections = shape.head_dim // 8
        metadata[f"{name}.rope.dimension_sections"] = [sections * 2, sections, sections, 0]
    if linear := shape.delta_net:
        metadata |= {
            f"{name}.ssm.conv_kernel": linear.n_conv,
            f"{name}.ssm.inner_size": linear.value_width,
            f"{name}.ssm.state_size": linear.head_dim,
            f"{name}.ssm.time_step_rank": linear.n_value_heads,
            f"{name}.ssm.group_count": linear.n_key_heads,
            f"{name}.full_attention_interval": linear.recurrent.index(False) + 1,
            f"{name}.rope.dimension_count": shape.head_dim // 4,
        }
    return metadata


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Value) -> bytes:
    match value:
        case str():
            return struct.pack("<I", _STRING) + _string(value)
        case int():
            return struct.pack("<II", _U32, value)
        case list():
            items = b"".join(struct.pack("<I", item) for item in value)
            return struct.pack("<IIQ", _ARRAY, _U32, len(value)) + items
        case float():
            return struct.pack("<If", _F32, value)
