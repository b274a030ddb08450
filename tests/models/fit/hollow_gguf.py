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
_U32, _F32, _STRING = 4, 6, 8


def write(path: Path, shape: Shape, quant: str) -> Path:
    """Write a file of the real length, without a vocabulary."""
    metadata = _metadata(shape)
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


def _metadata(shape: Shape) -> dict[str, str | int | float]:
    name = shape.architecture
    metadata: dict[str, str | int | float] = {
        "general.architecture": name,
        "tokenizer.ggml.model": "none",
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
    return metadata


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: str | int | float) -> bytes:
    match value:
        case str():
            return struct.pack("<I", _STRING) + _string(value)
        case int():
            return struct.pack("<II", _U32, value)
        case float():
            return struct.pack("<If", _F32, value)
