"""Model files made from the demo model by changing bytes of it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

from qwen3_chat.engine.worker.vocab import Vocab
from qwen3_chat.models import gguf

LONG_N_CTX = 32768
ALIGNMENT = 32
Q8_0_BLOCK_WEIGHTS, Q8_0_BLOCK_BYTES = 32, 34
ALWAYS_THINKS = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' ~ message.role ~ '\\n' ~ message.content ~ '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{{- '<|im_start|>assistant\\n<think>\\n' -}}"
)


def mute(data: bytes, vocab: Vocab, tokens: Sequence[int]) -> bytes:
    """Make tokens as improbable as one that no reply has; their embeddings stay as they were.

    The demo model has one matrix for input and output, so it gets a second one for the output. Expected is
    that the first tensor is the embedding, with blocks of Q8_0, and that there is no `output.weight` yet.
    """
    header = gguf.read_header(BytesIO(data), "demo")
    row_bytes = header.number("qwen3.embedding_length") // Q8_0_BLOCK_WEIGHTS * Q8_0_BLOCK_BYTES
    first, end = _tensor_descriptions(data, header.tensor_count)
    weights = data[header.weights_start_bytes :]
    (n_tokens,) = struct.unpack_from("<Q", _shape(data, first), 12)
    output = bytearray(weights[: row_bytes * n_tokens])
    never = vocab.specials["<|im_start|>"] * row_bytes
    for token in tokens:
        output[token * row_bytes : (token + 1) * row_bytes] = output[never : never + row_bytes]
    weights += bytes(-len(weights) % ALIGNMENT)
    described = (
        data[first:end] + _named("output.weight") + _shape(data, first) + struct.pack("<Q", len(weights))
    )
    start = data[:8] + struct.pack("<Q", header.tensor_count + 1) + data[16:first] + described
    return start + bytes(-len(start) % ALIGNMENT) + weights + bytes(output)


def _named(name: str) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode()


def _tensor_descriptions(data: bytes, count: int) -> tuple[int, int]:
    """Return the offsets at which the descriptions of the tensors begin and end."""
    first = at = data.index(_named("token_embd.weight"))
    for _ in range(count):
        (name_bytes,) = struct.unpack_from("<Q", data, at)
        at += 8 + name_bytes + len(_shape(data, at)) + 8
    return first, at


def _shape(data: bytes, start: int) -> bytes:
    """Return the bytes of dimensions and type of the tensor whose description begins at `start`."""
    (name_bytes,) = struct.unpack_from("<Q", data, start)
    at = start + 8 + name_bytes
    (dimensions,) = struct.unpack_from("<I", data, at)
    return data[at : at + 4 + 8 * dimensions + 4]


def with_text(data: bytes, key: str, value: str) -> bytes:
    """Replace a text of the metadata, padded with a Jinja comment; a longer one moves the tensors."""
    name = key.encode()
    start = data.index(struct.pack("<Q", len(name)) + name + struct.pack("<I", 8)) + 8 + len(name) + 4
    (size,) = struct.unpack_from("<Q", data, start)
    text = value.encode()
    if len(text) != size:
        room = max(size, len(text) + 4)
        room += (size - room) % ALIGNMENT
        text += b"{#" + b" " * (room - len(text) - 4) + b"#}"
    return data[:start] + struct.pack("<Q", len(text)) + text + data[start + 8 + size :]


def with_number(data: bytes, key: str, value: int) -> bytes:
    """Replace a number of the metadata."""
    name = key.encode()
    start = data.index(struct.pack("<Q", len(name)) + name + struct.pack("<I", 4)) + 8 + len(name) + 4
    return data[:start] + struct.pack("<I", value) + data[start + 4 :]


def endless(data: bytes, vocab: Vocab) -> bytes:
    """Return a model that never ends its reply."""
    return mute(data, vocab, sorted(vocab.end_ids))


def tireless(data: bytes, vocab: Vocab) -> bytes:
    """Return such a model with a context so long that no test waits for its end, on any machine."""
    return with_number(endless(data, vocab), "qwen3.context_length", LONG_N_CTX)


def brooding(data: bytes, vocab: Vocab) -> bytes:
    """Return a model that always thinks and never ends its thinking by itself."""
    never = [*sorted(vocab.end_ids), vocab.specials["</think>"]]
    return with_text(mute(data, vocab, never), "tokenizer.chat_template", ALWAYS_THINKS)


def of_unknown_architecture(data: bytes) -> bytes:
    """Return a model of an architecture that llama.cpp does not know."""
    return data.replace(b"qwen3", b"qwenX")


def make(path: Path, source: Path, change: Callable[[bytes], bytes] = bytes) -> Path:
    """Write a changed copy of a file and return its path."""
    path.write_bytes(change(source.read_bytes()))
    return path


def stretch(path: Path, size_bytes: int) -> None:
    """Lengthen a file by a hole, which takes time to read but no space on the disk."""
    with path.open("r+b") as file:
        file.truncate(size_bytes)
