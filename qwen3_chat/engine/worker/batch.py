"""Tokens on their way into llama.cpp."""

from __future__ import annotations

from collections.abc import Sequence

from llama_cpp import llama_cpp as L  # noqa: N812 - short, as everywhere in the worker


class Batch:
    """Room for a chunk of tokens of one sequence, of which some at the end have an output."""

    def __init__(self, room_tokens: int) -> None:
        self.struct = L.llama_batch_init(room_tokens, 0, 1)  # lives as long as the process

    def fill(self, tokens: Sequence[int], start: int, sequence: int, n_outputs: int) -> None:
        """Put tokens in, the first of them at position `start`; the last `n_outputs` get an output."""
        first_output = len(tokens) - n_outputs
        struct = self.struct
        struct.n_tokens = len(tokens)
        for index, token in enumerate(tokens):
            struct.token[index] = token
            struct.pos[index] = start + index
            struct.n_seq_id[index] = 1
            struct.seq_id[index][0] = sequence
            struct.logits[index] = index >= first_output
