"""The sizes of a Qwen3 network: its layers, its tensors, its parameters.

The numbers are those of the Qwen3 technical report (tables 1, 2) and of the models' config.json.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from math import prod


class TensorRole(StrEnum):
    """The role of a tensor; its quantisation depends on it."""

    EMBEDDING = "token_embd"
    OUTPUT = "output"
    QUERY = "attn_q"
    KEY = "attn_k"
    VALUE = "attn_v"
    ATTENTION_OUTPUT = "attn_output"
    GATE = "ffn_gate"
    UP = "ffn_up"
    DOWN = "ffn_down"
    UNQUANTISED = "norm"


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a file; `layer` is None where it belongs to no layer."""

    name: str
    role: TensorRole
    dimensions: tuple[int, ...]
    layer: int | None = None
    is_expert: bool = False

    @property
    def n_weights(self) -> int:
        """The number of weights."""
        return prod(self.dimensions)


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a Qwen3 network; without experts `n_experts` is 0.

    `is_tied`: the embedding is the output matrix as well, and the file holds it once.
    """

    n_layers: int
    n_embd: int
    n_ff: int
    n_heads: int
    n_kv_heads: int
    is_tied: bool = False
    n_experts: int = 0
    n_experts_used: int = 0
    n_expert_ff: int = 0
    head_dim: int = 128
    n_vocab: int = 151_936

    @classmethod
    def from_header(
        cls, architecture: str, number: Callable[[str], int], parameters: int | None
    ) -> Shape | None:
        """Return the shape by the metadata of a GGUF file, or None where it is no Qwen3.

        Args:
            architecture: The name of the kind of network in the file.
            number: Returns a number of the metadata, 0 where there is none.
            parameters: The count of all weights, which shows whether the output has a matrix of its own. None
                for a part of a split file: only large models are split, and their output has one.
        """
        if architecture not in ("qwen3", "qwen3moe"):
            return None
        shape = cls(
            n_layers=number(f"{architecture}.block_count"),
            n_embd=number(f"{architecture}.embedding_length"),
            n_ff=number(f"{architecture}.feed_forward_length"),
            n_heads=number(f"{architecture}.attention.head_count"),
            n_kv_heads=number(f"{architecture}.attention.head_count_kv"),
            n_experts=number(f"{architecture}.expert_count"),
            n_experts_used=number(f"{architecture}.expert_used_count"),
            n_expert_ff=number(f"{architecture}.expert_feed_forward_length"),
            head_dim=number(f"{architecture}.attention.key_length"),
        )
        if not all((shape.n_layers, shape.n_embd, shape.n_heads, shape.n_kv_heads, shape.head_dim)):
            return None
        return shape if parameters is None or shape.parameters <= parameters else replace(shape, is_tied=True)

    @property
    def architecture(self) -> str:
        """The name of the architecture in GGUF files."""
        return "qwen3moe" if self.n_experts else "qwen3"

    @property
    def kv_values_per_token(self) -> int:
        """The numbers that a token puts into the KV cache: a key and a value for each layer and KV head."""
        return 2 * self.n_layers * self.n_kv_heads * self.head_dim

    @property
    def parameters(self) -> int:
        """The number of all weights."""
        return sum(tensor.n_weights for tensor in self.tensors())

    @property
    def active_parameters(self) -> int:
        """The number of weights that take part in one token."""
        return sum(
            tensor.n_weights * self.n_experts_used // self.n_experts if tensor.is_expert else tensor.n_weights
            for tensor in self.tensors()
        )

    def tensors(self) -> Iterator[Tensor]:
        """Yield the tensors in the order of a file."""
        yield Tensor("token_embd.weight", TensorRole.EMBEDDING, (self.n_embd, self.n_vocab))
        yield Tensor("output_norm.weight", TensorRole.UNQUANTISED, (self.n_embd,))
        if not self.is_tied:
            yield Tensor("output.weight", TensorRole.OUTPUT, (self.n_embd, self.n_vocab))
        for layer in range(self.n_layers):
            for name, role, dimensions in self._layer():
                yield Tensor(f"blk.{layer}.{name}.weight", role, dimensions, layer, name.endswith("_exps"))

    def _layer(self) -> Iterator[tuple[str, TensorRole, tuple[int, ...]]]:
        width, heads, kv_heads = self.n_embd, self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim
        yield "attn_norm", TensorRole.UNQUANTISED, (width,)
        yield "attn_q", TensorRole.QUERY, (width, heads)
        yield "attn_k", TensorRole.KEY, (width, kv_heads)
        yield "attn_v", TensorRole.VALUE, (width, kv_heads)
        yield "attn_output", TensorRole.ATTENTION_OUTPUT, (heads, width)
        yield "attn_q_norm", TensorRole.UNQUANTISED, (self.head_dim,)
        yield "attn_k_norm", TensorRole.UNQUANTISED, (self.head_dim,)
        yield "ffn_norm", TensorRole.UNQUANTISED, (width,)
        if self.n_experts:
            yield "ffn_gate_inp", TensorRole.UNQUANTISED, (width, self.n_experts)
            yield "ffn_gate_exps", TensorRole.GATE, (width, self.n_expert_ff, self.n_experts)
            yield "ffn_up_exps", TensorRole.UP, (width, self.n_expert_ff, self.n_experts)
            yield "ffn_down_exps", TensorRole.DOWN, (self.n_expert_ff, width, self.n_experts)
        else:
            yield "ffn_gate", TensorRole.GATE, (width, self.n_ff)
            yield "ffn_up", TensorRole.UP, (width, self.n_ff)
            yield "ffn_down", TensorRole.DOWN, (self.n_ff, width)
