"""The sizes of a network: its layers, its tensors, its parameters, what it keeps of each token.

The numbers of Qwen3 are those of its technical report (tables 1, 2) and of the models' config.json.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from math import prod

from msgspec import Struct

from qwen3_chat.models.gguf_names import QWEN3_ARCHITECTURES

Widths = tuple[int, int]
"""The numbers that a token puts into the KV cache of a layer: of its keys, of its values."""

QWEN3_N_VOCAB = 151_936
"""The number of rows in the embedding of Qwen3."""

DEFAULT_ATTENTION_INTERVAL = 4
"""In Qwen3-Next and Qwen3.5 every fourth layer is attention, the others are recurrent."""

_STATE_FLOAT_BYTES = 4
_GATED_ARCHITECTURES = frozenset({"qwen3next", "qwen35", "qwen35moe"})
_WHOLE_NAMES = ("ssm_a", "ssm_dt.bias")


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


_Part = tuple[str, TensorRole, tuple[int, ...]]  # of a layer: name, role, dimensions


class Tensor(Struct, frozen=True):
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


class DeltaNet(Struct, frozen=True):
    """The gated delta net of Qwen3-Next and Qwen3.5; `recurrent` has True for each layer that is one."""

    recurrent: tuple[bool, ...]
    n_conv: int
    n_key_heads: int
    n_value_heads: int
    head_dim: int

    @property
    def value_width(self) -> int:
        """The numbers of all value heads together."""
        return self.n_value_heads * self.head_dim

    @property
    def conv_width(self) -> int:
        """The numbers that pass the convolution: queries, keys, values."""
        return 2 * self.n_key_heads * self.head_dim + self.value_width

    @property
    def state_values(self) -> int:
        """The numbers that a layer keeps for a sequence of any length."""
        return (self.n_conv - 1) * self.conv_width + self.head_dim * self.value_width


class Shape(Struct, frozen=True):
    """The sizes of a network; without experts `n_experts` is 0.

    `is_tied`: the embedding is the output matrix as well, and the file holds it once. `kind` is the name of
    the architecture where it is neither `qwen3` nor `qwen3moe`. `n_shared_ff` is the width of the experts
    that work on every token. The last `n_unused_layers` are never evaluated: they draft tokens. `n_weights`
    is the number of all weights by the file's table of tensors, 0 where that was not read.

    Of the layers of other networks than Qwen3's, `widths` has what each puts into the KV cache, and
    `state_values` is the sum of what all of them keep for a sequence of any length.
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
    n_vocab: int = QWEN3_N_VOCAB
    kind: str = ""
    n_shared_ff: int = 0
    n_deepstack_layers: int = 0
    n_unused_layers: int = 0
    delta_net: DeltaNet | None = None
    widths: tuple[Widths, ...] = ()
    state_values: int = 0
    n_weights: int = 0

    @property
    def architecture(self) -> str:
        """The name of the architecture in GGUF files."""
        return self.kind or ("qwen3moe" if self.n_experts else "qwen3")

    @property
    def layer_widths(self) -> tuple[Widths, ...]:
        """The numbers that a token puts into the KV cache of each layer."""
        if self.widths:
            return self.widths
        width = self.n_kv_heads * self.head_dim
        return tuple(
            (0, 0) if self.is_recurrent(layer) or layer >= self.n_used_layers else (width, width)
            for layer in range(self.n_layers)
        )

    @property
    def n_used_layers(self) -> int:
        """The number of layers that are evaluated."""
        return self.n_layers - self.n_unused_layers

    @property
    def kv_widths(self) -> Widths:
        """The numbers that a token puts into the KV cache of all layers: of keys, of values."""
        return _sum_widths(self)

    @property
    def state_bytes(self) -> int:
        """The bytes of the states of all layers for one sequence, however long it is."""
        values = self.state_values
        if self.delta_net:
            values = sum(self.delta_net.recurrent) * self.delta_net.state_values
        return values * _STATE_FLOAT_BYTES

    def is_recurrent(self, layer: int) -> bool:
        """Return whether a layer of a Qwen has a state instead of keys and values."""
        return self.delta_net is not None and self.delta_net.recurrent[layer]

    @property
    def parameters(self) -> int:
        """The number of all weights: as counted in a file, else of the tensors."""
        return self.n_weights or _count_weights(self)

    @property
    def active_parameters(self) -> int:
        """The number of weights that take part in one token."""
        return sum(
            tensor.n_weights * self.n_experts_used // self.n_experts if tensor.is_expert else tensor.n_weights
            for tensor in self.tensors()
        )

    @property
    def has_known_tensors(self) -> bool:
        """True if `tensors` knows the architecture."""
        return self.architecture in QWEN3_ARCHITECTURES

    def tensors(self) -> Iterator[Tensor]:
        """Yield the tensors of a Qwen3 in the order of a file, without layers that are not used."""
        yield Tensor("token_embd.weight", TensorRole.EMBEDDING, (self.n_embd, self.n_vocab))
        yield Tensor("output_norm.weight", TensorRole.UNQUANTISED, (self.n_embd,))
        if not self.is_tied:
            yield Tensor("output.weight", TensorRole.OUTPUT, (self.n_embd, self.n_vocab))
        for layer in range(self.n_used_layers):
            for name, role, dimensions in _layer(self, layer):
                full_name = f"blk.{layer}.{name}" if name in _WHOLE_NAMES else f"blk.{layer}.{name}.weight"
                yield Tensor(full_name, role, dimensions, layer, name.endswith("_exps"))


def every_nth_is_attention(n_layers: int, interval: int = DEFAULT_ATTENTION_INTERVAL) -> tuple[bool, ...]:
    """Return which layers are recurrent where each `interval`-th one is attention."""
    return tuple((layer + 1) % interval != 0 for layer in range(n_layers))


def _layer(shape: Shape, layer: int) -> Iterator[_Part]:
    is_gated = shape.architecture in _GATED_ARCHITECTURES
    yield "attn_norm", TensorRole.UNQUANTISED, (shape.n_embd,)
    if shape.is_recurrent(layer):
        yield from _delta_net(shape)
    else:
        yield from _attention(shape, is_gated)
    yield "post_attention_norm" if is_gated else "ffn_norm", TensorRole.UNQUANTISED, (shape.n_embd,)
    yield from _experts(shape) if shape.n_experts else _feed_forward(shape.n_embd, shape.n_ff, "")


def _attention(shape: Shape, is_gated: bool) -> Iterator[_Part]:
    """Yield the tensors of attention; a gated one computes its gate together with the queries."""
    width, kv_heads = shape.n_embd, shape.n_kv_heads * shape.head_dim
    heads = shape.n_heads * shape.head_dim
    yield "attn_q", TensorRole.QUERY, (width, 2 * heads if is_gated else heads)
    yield "attn_k", TensorRole.KEY, (width, kv_heads)
    yield "attn_v", TensorRole.VALUE, (width, kv_heads)
    yield "attn_output", TensorRole.ATTENTION_OUTPUT, (heads, width)
    yield "attn_q_norm", TensorRole.UNQUANTISED, (shape.head_dim,)
    yield "attn_k_norm", TensorRole.UNQUANTISED, (shape.head_dim,)


def _delta_net(shape: Shape) -> Iterator[_Part]:
    """Yield the tensors of a gated delta net, as llama.cpp's qwen3next.cpp and qwen35moe.cpp name them."""
    linear, width = shape.delta_net, shape.n_embd
    assert linear
    yield "attn_qkv", TensorRole.VALUE, (width, linear.conv_width)
    yield "attn_gate", TensorRole.QUERY, (width, linear.value_width)
    yield "ssm_conv1d", TensorRole.UNQUANTISED, (linear.n_conv, linear.conv_width)
    yield "ssm_dt.bias", TensorRole.UNQUANTISED, (linear.n_value_heads,)
    yield "ssm_a", TensorRole.UNQUANTISED, (linear.n_value_heads,)
    if shape.architecture == "qwen3next":
        yield "ssm_ba", TensorRole.QUERY, (width, 2 * linear.n_value_heads)
    else:
        yield "ssm_beta", TensorRole.QUERY, (width, linear.n_value_heads)
        yield "ssm_alpha", TensorRole.QUERY, (width, linear.n_value_heads)
    yield "ssm_norm", TensorRole.UNQUANTISED, (linear.head_dim,)
    yield "ssm_out", TensorRole.QUERY, (linear.value_width, width)


def _experts(shape: Shape) -> Iterator[_Part]:
    width = shape.n_embd
    yield "ffn_gate_inp", TensorRole.UNQUANTISED, (width, shape.n_experts)
    yield "ffn_gate_exps", TensorRole.GATE, (width, shape.n_expert_ff, shape.n_experts)
    yield "ffn_up_exps", TensorRole.UP, (width, shape.n_expert_ff, shape.n_experts)
    yield "ffn_down_exps", TensorRole.DOWN, (shape.n_expert_ff, width, shape.n_experts)
    if shape.n_shared_ff:
        yield "ffn_gate_inp_shexp", TensorRole.UNQUANTISED, (width,)
        yield from _feed_forward(width, shape.n_shared_ff, "_shexp")


def _feed_forward(width: int, inner: int, suffix: str) -> Iterator[_Part]:
    yield f"ffn_gate{suffix}", TensorRole.GATE, (width, inner)
    yield f"ffn_up{suffix}", TensorRole.UP, (width, inner)
    yield f"ffn_down{suffix}", TensorRole.DOWN, (inner, width)


@lru_cache(maxsize=256)
def _count_weights(shape: Shape) -> int:
    return sum(tensor.n_weights for tensor in shape.tensors())


@lru_cache(maxsize=256)
def _sum_widths(shape: Shape) -> Widths:
    keys, values = zip(*shape.layer_widths, strict=True)
    return sum(keys), sum(values)
