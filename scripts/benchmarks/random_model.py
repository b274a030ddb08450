"""A GGUF file with Qwen3's architecture, made-up weights and a vocabulary of the real size.

Its replies are noise, but they cost as much time and memory as those of the real model of that shape.
Tokenizer and chat template are the demo model's, padded with made-up words to the 151,936 tokens of Qwen3.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from random import Random
from typing import BinaryIO

from demo_model.render import TEMPLATE_PATH
from demo_model.vocabulary import CONTROL_TOKENS, Vocabulary, build_vocabulary
from qwen3_chat.models.catalog import Shape as CatalogShape
from qwen3_chat.models.catalog.quants import TENSOR_TYPE_BLOCKS, tensor_type
from qwen3_chat.record_copies import replace

N_VOCAB = 151_936
_N_CTX_TRAIN = 40_960
_MAGIC, _VERSION, _ALIGNMENT = b"GGUF", 3, 32
_U32, _I32, _F32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9  # gguf_metadata_value_type
_TYPES = {"F32": 0, "Q8_0": 8, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14}  # ggml_type
_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5  # llama_token_type
_FILE_TYPES = {"Q8_0": 7, "Q4_K_M": 15, "Q5_K_M": 17, "Q6_K": 18}  # llama_ftype
_BLOCK_WEIGHTS, _BLOCK_BYTES = TENSOR_TYPE_BLOCKS["Q8_0"]
_SCALE = struct.pack("<e", 0.02 / 73.9)  # of bytes drawn evenly, which gives a standard deviation of 0.02
_CHUNK_BLOCKS = 1 << 18


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a Qwen3 network with tied embeddings; with experts, `ffn_width` is that of each."""

    layers: int
    width: int
    ffn_width: int
    heads: int
    kv_heads: int
    head_width: int
    experts: int = 0
    experts_used: int = 0

    @property
    def architecture(self) -> str:
        """The name of the architecture in GGUF files."""
        return "qwen3moe" if self.experts else "qwen3"

    def tensor_types(self, quant: str) -> dict[str, str]:
        """Return the type that llama.cpp would give each tensor in a quant."""
        shape = CatalogShape(
            n_layers=self.layers,
            n_embd=self.width,
            n_ff=self.ffn_width,
            n_heads=self.heads,
            n_kv_heads=self.kv_heads,
            is_tied=True,
            n_experts=self.experts,
            n_experts_used=self.experts_used,
            n_expert_ff=self.ffn_width,
            head_dim=self.head_width,
            n_vocab=N_VOCAB,
        )
        return {tensor.name: tensor_type(tensor, shape, quant) for tensor in shape.tensors()}


SHAPES = {
    "small": Shape(4, 256, 768, 4, 2, 64),
    "small-moe": Shape(4, 256, 256, 4, 2, 64, experts=8, experts_used=2),
    "0.6B": Shape(28, 1024, 3072, 16, 8, 128),
    "1.7B": Shape(28, 2048, 6144, 16, 8, 128),
    "4B": Shape(36, 2560, 9728, 32, 8, 128),
    "4B, 12 layers": Shape(12, 2560, 9728, 32, 8, 128),
    "30B-A3B, 6 layers": Shape(6, 2048, 768, 32, 4, 128, experts=128, experts_used=8),
    "30B-A3B, 12 layers": Shape(12, 2048, 768, 32, 4, 128, experts=128, experts_used=8),
}


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor to be written, in `kind` if it is a matrix or one for each expert, else in F32."""

    name: str
    columns: int
    rows: int = 1
    experts: int = 0
    is_router: bool = False
    kind: str = "Q8_0"

    @property
    def is_float(self) -> bool:
        return self.rows == 1 or self.is_router

    @property
    def weights(self) -> int:
        return self.columns * self.rows * max(1, self.experts)

    @property
    def size_bytes(self) -> int:
        block_weights, block_bytes = TENSOR_TYPE_BLOCKS[self.type_name]
        return self.weights // block_weights * block_bytes

    @property
    def type_name(self) -> str:
        return "F32" if self.is_float else self.kind


def write_model(
    path: Path, shape: Shape, seed: int = 0, is_hollow: bool = False, quant: str = "Q8_0"
) -> None:
    """Write a model of a shape; the same seed gives the same file.

    A hollow model has zeros for weights, which take no time and no space on the disk, only in memory; only
    such a one can have another quant than Q8_0.
    """
    assert is_hollow or quant == "Q8_0"
    vocabulary = build_vocabulary()
    entries = [*_metadata(shape, quant), *_tokenizer(vocabulary)]
    types = shape.tensor_types(quant)
    tensors = [replace(tensor, kind=types[tensor.name]) for tensor in _tensors(shape)]
    random = Random(seed)
    with path.open("wb") as file:
        file.write(_MAGIC + struct.pack("<IQQ", _VERSION, len(tensors), len(entries)))
        for entry in entries:
            file.write(entry)
        offset = 0
        for tensor in tensors:
            file.write(_table_row(tensor, offset))
            offset += -(-tensor.size_bytes // _ALIGNMENT) * _ALIGNMENT
        for tensor in tensors:
            file.write(bytes(-file.tell() % _ALIGNMENT))
            if is_hollow and not tensor.is_float:
                file.truncate(file.tell() + tensor.size_bytes)
                file.seek(0, os.SEEK_END)
            else:
                _write_weights(file, tensor, vocabulary, random)


def _metadata(shape: Shape, quant: str) -> Iterator[bytes]:
    yield _entry("general.architecture", _STRING, _text(shape.architecture))
    yield _entry("general.name", _STRING, _text("made-up Qwen3"))
    yield _entry("general.file_type", _U32, struct.pack("<I", _FILE_TYPES[quant]))
    yield _entry("general.quantization_version", _U32, struct.pack("<I", 2))
    numbers = {
        "context_length": _N_CTX_TRAIN,
        "embedding_length": shape.width,
        "block_count": shape.layers,
        "feed_forward_length": shape.ffn_width,
        "attention.head_count": shape.heads,
        "attention.head_count_kv": shape.kv_heads,
        "attention.key_length": shape.head_width,
        "attention.value_length": shape.head_width,
    }
    if shape.experts:
        numbers |= {
            "expert_count": shape.experts,
            "expert_used_count": shape.experts_used,
            "expert_feed_forward_length": shape.ffn_width,
        }
    name = shape.architecture
    for key, number in numbers.items():
        yield _entry(f"{name}.{key}", _U32, struct.pack("<I", number))
    yield _entry(f"{name}.rope.freq_base", _F32, struct.pack("<f", 1e6))
    yield _entry(f"{name}.attention.layer_norm_rms_epsilon", _F32, struct.pack("<f", 1e-6))


def _tokenizer(vocabulary: Vocabulary) -> Iterator[bytes]:
    known = vocabulary.tokens
    tokens = [*known, *(f"Ġw{number}" for number in range(N_VOCAB - len(known)))]
    types = [_type_of(index, vocabulary) for index in range(N_VOCAB)]
    merges = [f"{left} {right}" for left, right in vocabulary.merges]
    yield _entry("tokenizer.ggml.model", _STRING, _text("gpt2"))
    yield _entry("tokenizer.ggml.pre", _STRING, _text("qwen2"))
    yield _entry("tokenizer.ggml.tokens", _ARRAY, _array(_STRING, list(map(_text, tokens))))
    yield _entry(
        "tokenizer.ggml.token_type", _ARRAY, _array(_I32, [struct.pack("<i", type_) for type_ in types])
    )
    yield _entry("tokenizer.ggml.merges", _ARRAY, _array(_STRING, list(map(_text, merges))))
    for key, spelling in {"eos": "<|im_end|>", "padding": "<|endoftext|>", "bos": "<|endoftext|>"}.items():
        yield _entry(f"tokenizer.ggml.{key}_token_id", _U32, struct.pack("<I", known.index(spelling)))
    yield _entry("tokenizer.ggml.add_bos_token", _BOOL, b"\0")
    yield _entry("tokenizer.chat_template", _STRING, _text(TEMPLATE_PATH.read_text(encoding="utf-8")))


def _type_of(index: int, vocabulary: Vocabulary) -> int:
    if not vocabulary.first_special_id <= index < len(vocabulary.tokens):
        return _NORMAL
    if index >= vocabulary.first_padding_id:
        return _UNUSED
    return _CONTROL if vocabulary.tokens[index] in CONTROL_TOKENS else _USER_DEFINED


def _tensors(shape: Shape) -> list[_Tensor]:
    width, queries = shape.width, shape.heads * shape.head_width
    keys = shape.kv_heads * shape.head_width
    layer = (
        _Tensor("attn_norm", width),
        _Tensor("attn_q", width, queries),
        _Tensor("attn_k", width, keys),
        _Tensor("attn_v", width, keys),
        _Tensor("attn_output", queries, width),
        _Tensor("attn_q_norm", shape.head_width),
        _Tensor("attn_k_norm", shape.head_width),
        _Tensor("ffn_norm", width),
        *_feed_forward(shape),
    )
    return [
        _Tensor("token_embd.weight", width, N_VOCAB),
        _Tensor("output_norm.weight", width),
        *(
            replace(part, name=f"blk.{number}.{part.name}.weight")
            for number in range(shape.layers)
            for part in layer
        ),
    ]


def _feed_forward(shape: Shape) -> tuple[_Tensor, ...]:
    width, inner, experts = shape.width, shape.ffn_width, shape.experts
    if not experts:
        return (
            _Tensor("ffn_gate", width, inner),
            _Tensor("ffn_up", width, inner),
            _Tensor("ffn_down", inner, width),
        )
    return (
        _Tensor("ffn_gate_inp", width, experts, is_router=True),
        _Tensor("ffn_gate_exps", width, inner, experts),
        _Tensor("ffn_up_exps", width, inner, experts),
        _Tensor("ffn_down_exps", inner, width, experts),
    )


def _write_weights(file: BinaryIO, tensor: _Tensor, vocabulary: Vocabulary, random: Random) -> None:
    if tensor.is_float:
        floats = (random.gauss(0, 1) if tensor.is_router else 1.0 for _ in range(tensor.weights))
        file.write(b"".join(struct.pack("<f", value) for value in floats))
        return
    start = file.tell()
    row_blocks = tensor.columns // _BLOCK_WEIGHTS
    blocks = tensor.weights // _BLOCK_WEIGHTS
    for first in range(0, blocks, _CHUNK_BLOCKS):
        count = min(_CHUNK_BLOCKS, blocks - first)
        data = bytearray(random.randbytes(count * _BLOCK_BYTES))
        data[0::_BLOCK_BYTES], data[1::_BLOCK_BYTES] = _SCALE[:1] * count, _SCALE[1:] * count
        file.write(data)
    if tensor.name == "token_embd.weight":
        # Zeros make the special tokens so improbable that no reply ends by itself.
        row_bytes = row_blocks * _BLOCK_BYTES
        file.seek(start + vocabulary.first_special_id * row_bytes)
        file.write(bytes((len(vocabulary.tokens) - vocabulary.first_special_id) * row_bytes))
        file.seek(start + tensor.size_bytes)


def _table_row(tensor: _Tensor, offset: int) -> bytes:
    sizes = tuple(size for size in (tensor.columns, tensor.rows, tensor.experts) if size > 1)
    kind = _TYPES[tensor.type_name]
    layout = f"<I{len(sizes)}QIQ"
    return _text(tensor.name) + struct.pack(layout, len(sizes), *sizes, kind, offset)


def _entry(key: str, kind: int, value: bytes) -> bytes:
    return _text(key) + struct.pack("<I", kind) + value


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _array(kind: int, items: Sequence[bytes]) -> bytes:
    return b"".join(chain([struct.pack("<IQ", kind, len(items))], items))
