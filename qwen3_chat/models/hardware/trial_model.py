"""A model for measuring a build of llama.cpp: the demo model's vocabulary, and zeros for weights.

It says nothing, but a token of it costs what one of a real model of that size does. The demo model itself is
too small: a GPU spends its time on starting to compute.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from qwen3_chat.demo import DEMO_FILE

N_LAYERS, WIDTH, INNER_WIDTH, N_HEADS, N_KV_HEADS, HEAD_WIDTH = 8, 2048, 6144, 16, 8, 128
"""The sizes of the network, which make 0.4 GiB in Q8_0, far more than a processor's cache."""

_ALIGNMENT, _BLOCK_WEIGHTS, _BLOCK_BYTES = 32, 32, 34
_STRING, _ARRAY, _F32, _Q8_0 = 8, 9, 0, 8
_SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_SIZES = {
    "qwen3.embedding_length": WIDTH,
    "qwen3.block_count": N_LAYERS,
    "qwen3.feed_forward_length": INNER_WIDTH,
    "qwen3.attention.head_count": N_HEADS,
    "qwen3.attention.head_count_kv": N_KV_HEADS,
    "qwen3.attention.key_length": HEAD_WIDTH,
    "qwen3.attention.value_length": HEAD_WIDTH,
}


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    columns: int
    rows: int = 1

    @property
    def size_bytes(self) -> int:
        if self.rows == 1:
            return self.columns * 4
        return self.columns * self.rows // _BLOCK_WEIGHTS * _BLOCK_BYTES


def write_trial_model(path: Path) -> None:
    """Write the model; its zeros take no space where the file system leaves holes in files.

    Raises:
        OSError: it can't be written.
    """
    entries, n_vocab = _demo_entries(DEMO_FILE.read_bytes())
    tensors = _tensors(n_vocab)
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries)) + b"".join(entries))
        offset = 0
        for tensor in tensors:
            sizes = (tensor.columns,) if tensor.rows == 1 else (tensor.columns, tensor.rows)
            kind = _F32 if tensor.rows == 1 else _Q8_0
            file.write(
                _text(tensor.name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, kind, offset)
            )
            offset += -(-tensor.size_bytes // _ALIGNMENT) * _ALIGNMENT
        for tensor in tensors:
            file.write(bytes(-file.tell() % _ALIGNMENT))
            if tensor.rows == 1:
                file.write(struct.pack("<f", 1) * tensor.columns)
            else:
                file.truncate(file.tell() + tensor.size_bytes)
                file.seek(0, os.SEEK_END)


def _demo_entries(data: bytes) -> tuple[list[bytes], int]:
    """Return the entries of the demo model's header with other sizes, and the size of its vocabulary."""
    (count,) = struct.unpack_from("<Q", data, 16)
    at, entries, n_vocab = 24, list[bytes](), 0
    for _ in range(count):
        begin = at
        key, at = _read_text(data, at)
        (kind,) = struct.unpack_from("<I", data, at)
        end = _skip(data, at + 4, kind)
        if key == "tokenizer.ggml.tokens":
            (n_vocab,) = struct.unpack_from("<Q", data, at + 8)
        if key in _SIZES:
            entries.append(_text(key) + struct.pack("<II", 4, _SIZES[key]))
        else:
            entries.append(data[begin:end])
        at = end
    return entries, n_vocab


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", data, at)
    return data[at + 8 : at + 8 + length].decode(), at + 8 + length


def _skip(data: bytes, at: int, kind: int) -> int:
    match kind:
        case 8:  # a string
            return _read_text(data, at)[1]
        case 9:  # an array
            item_kind, count = struct.unpack_from("<IQ", data, at)
            at += 12
            if item_kind in _SCALAR_BYTES:
                return at + int(count) * _SCALAR_BYTES[item_kind]
            for _ in range(count):
                at = _skip(data, at, item_kind)
            return at
        case _:
            return at + _SCALAR_BYTES[kind]


def _tensors(n_vocab: int) -> list[_Tensor]:
    queries, keys = N_HEADS * HEAD_WIDTH, N_KV_HEADS * HEAD_WIDTH
    tensors = [_Tensor("token_embd.weight", WIDTH, n_vocab), _Tensor("output_norm.weight", WIDTH)]
    for layer in range(N_LAYERS):
        parts = (
            ("attn_norm", WIDTH, 1),
            ("attn_q", WIDTH, queries),
            ("attn_k", WIDTH, keys),
            ("attn_v", WIDTH, keys),
            ("attn_output", queries, WIDTH),
            ("attn_q_norm", HEAD_WIDTH, 1),
            ("attn_k_norm", HEAD_WIDTH, 1),
            ("ffn_norm", WIDTH, 1),
            ("ffn_gate", WIDTH, INNER_WIDTH),
            ("ffn_up", WIDTH, INNER_WIDTH),
            ("ffn_down", INNER_WIDTH, WIDTH),
        )
        tensors += [_Tensor(f"blk.{layer}.{name}.weight", columns, rows) for name, columns, rows in parts]
    return tensors


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data
