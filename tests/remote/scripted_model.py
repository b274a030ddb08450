"""A model file with a fixed reply: each token determines the next by a table.

A trained model of a few megabytes calls tools unpredictably; this one calls `calculator` for any question, on
any engine. It has Qwen3's architecture with one layer that adds nothing: only the embedding of the last token
passes through, one dimension for each token, and the output matrix is the table.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import gguf
import numpy as np

from demo_model.render import TEMPLATE_PATH

THOUGHT = "Only a machine can tell."
PIECES = (
    '\n{"name": "calculator", ',
    '"arguments": ',
    '{"expression": ',
    '"17 × 23"}}\n',
)  # llama-cpp-python skips longer ones
SAID = ("\n", "<think>", f"\n{THOUGHT}", "</think>", "\n\n", "<tool_call>", *PIECES, "</tool_call>")
END = "<|im_end|>"
CONTROL, USER_DEFINED = (
    ("<|endoftext|>", "<|im_start|>", END),
    ("<think>", "</think>", "<tool_call>", "</tool_call>"),
)
WIDTH, HEAD_WIDTH = 512, 64


def write_scripted_model(path: Path) -> Path:
    """Write the file and return its path."""
    characters = _byte_characters()
    texts = [*characters.values(), *(_spelled(text, characters) for text in SAID if text not in USER_DEFINED)]
    tokens = [*dict.fromkeys(texts), *CONTROL, *USER_DEFINED]
    ids = {token: index for index, token in enumerate(tokens)}
    chain = [ids.get(text, ids.get(_spelled(text, characters), -1)) for text in (*SAID, END)]
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_name("scripted")
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_key_length(HEAD_WIDTH)
    writer.add_value_length(HEAD_WIDTH)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([_type_of(token) for token in tokens])
    writer.add_token_merges([f"{characters[10]} {characters[10]}"])
    writer.add_eos_token_id(ids[END])
    writer.add_pad_token_id(ids["<|endoftext|>"])
    writer.add_bos_token_id(ids["<|endoftext|>"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE_PATH.read_text(encoding="utf-8"))
    output = np.zeros((len(tokens), WIDTH), np.float32)
    for token, following in pairwise(chain):
        output[following, token] = 1
    tensors = {
        "token_embd.weight": np.eye(len(tokens), WIDTH, dtype=np.float32),
        "output_norm.weight": np.ones(WIDTH, np.float32),
        "output.weight": output,
        "blk.0.attn_norm.weight": np.ones(WIDTH, np.float32),
        "blk.0.ffn_norm.weight": np.ones(WIDTH, np.float32),
        "blk.0.attn_q_norm.weight": np.ones(HEAD_WIDTH, np.float32),
        "blk.0.attn_k_norm.weight": np.ones(HEAD_WIDTH, np.float32),
        "blk.0.attn_q.weight": np.zeros((HEAD_WIDTH, WIDTH), np.float32),
        "blk.0.attn_k.weight": np.zeros((HEAD_WIDTH, WIDTH), np.float32),
        "blk.0.attn_v.weight": np.zeros((HEAD_WIDTH, WIDTH), np.float32),
        "blk.0.attn_output.weight": np.zeros((WIDTH, HEAD_WIDTH), np.float32),
        "blk.0.ffn_gate.weight": np.zeros((32, WIDTH), np.float32),
        "blk.0.ffn_up.weight": np.zeros((32, WIDTH), np.float32),
        "blk.0.ffn_down.weight": np.zeros((WIDTH, 32), np.float32),
    }
    for name, weights in tensors.items():
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _type_of(token: str) -> int:
    if token in CONTROL:
        return int(gguf.TokenType.CONTROL)
    return int(gguf.TokenType.USER_DEFINED if token in USER_DEFINED else gguf.TokenType.NORMAL)


def _byte_characters() -> dict[int, str]:
    """Return the printable character of each byte in GPT-2's vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def _spelled(text: str, characters: dict[int, str]) -> str:
    return "".join(characters[byte] for byte in text.encode())
