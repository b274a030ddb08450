"""The bytes that a context takes: its KV cache, the states of recurrent layers, llama.cpp's compute buffer.

The buffer's formulas follow the allocator of the llama.cpp that pyproject.toml pins, with the worker's
settings (few outputs); the tests compare them with its own account, shape by shape.
"""

from __future__ import annotations

from dataclasses import dataclass

from qwen3_chat.models.catalog import Shape
from qwen3_chat.request import N_SEQUENCES, KvType

_FLOAT_BYTES = 4
_MASK_BYTES, _FLASH_MASK_BYTES = 4, 2
N_CTX_STEP = 256
"""The number of tokens to a multiple of which llama.cpp rounds a context up."""

_STATES_ALIVE, _CONV_WIDTHS_ALIVE = 8.25, 3.1
_KV_BYTES = {KvType.F16: 2.0, KvType.Q8_0: 34 / 32}


@dataclass(frozen=True, slots=True)
class ContextSpec:
    """The parameters of a context."""

    n_ctx: int
    kv_type: KvType
    n_ubatch: int
    flash_attention: bool


def kv_bytes(shape: Shape, context: ContextSpec) -> int:
    """Return the size of the KV cache; without flash attention only its keys are quantised."""
    keys = _KV_BYTES[context.kv_type]
    values = keys if context.flash_attention else _KV_BYTES[KvType.F16]
    cells = -(-context.n_ctx // N_CTX_STEP) * N_CTX_STEP
    n_keys, n_values = shape.kv_widths
    return round((n_keys * keys + n_values * values) * cells)


def state_bytes(shape: Shape) -> int:
    """Return the size of the states of recurrent layers, one for each sequence of a context."""
    return N_SEQUENCES * shape.state_bytes


def compute_bytes(shape: Shape, context: ContextSpec) -> int:
    """Return the size of the compute buffer: the largest of its peaks, with the attention's mask."""
    mask_bytes = _FLASH_MASK_BYTES if context.flash_attention else _MASK_BYTES
    attention = 0 if context.flash_attention else _attention_floats(shape, context)
    floats = max(attention, _feed_forward_floats(shape, context))
    floats_in_all = max(context.n_ubatch * floats, _delta_net_floats(shape, context))
    return floats_in_all * _FLOAT_BYTES + context.n_ubatch * mask_bytes * context.n_ctx


def _attention_floats(shape: Shape, context: ContextSpec) -> int:
    """Return the count of numbers per token that are alive while the scores of all heads are."""
    heads, kv_heads = shape.n_heads * shape.head_dim, shape.n_kv_heads * shape.head_dim
    is_quantised = context.kv_type is not KvType.F16
    scores = 2 * kv_heads + shape.n_heads * context.n_ctx
    if shape.delta_net:  # its gate is computed with the queries
        return 2 * shape.n_embd + heads * (5 if is_quantised else 4) + scores
    queries = heads * (1 if is_quantised else 2)
    return (3 + _n_inputs(shape)) * shape.n_embd + queries + scores


def _feed_forward_floats(shape: Shape, context: ContextSpec) -> int:
    """Return the count of numbers per token that are alive in the middle of a layer's second half."""
    if shape.n_experts:
        used = shape.n_experts_used
        if shape.delta_net:
            return used * (2 * shape.n_embd + shape.n_expert_ff)
        return 2 * used * (shape.n_embd + shape.n_expert_ff) + max(0, _n_inputs(shape) - 2) * shape.n_embd
    heads = shape.n_heads * shape.head_dim
    # The memory that attention leaves stays unused, unless a later tensor has exactly its size.
    is_quantised = context.kv_type is not KvType.F16
    if (is_quantised and heads == shape.n_embd) or shape.delta_net or shape.n_deepstack_layers:
        unused = 0
    else:
        unused = heads if heads < 2 * shape.n_embd else heads - shape.n_embd
    return 3 * shape.n_ff + (3 + _n_inputs(shape)) * shape.n_embd + unused


def _n_inputs(shape: Shape) -> int:
    """Return how many embeddings of a token stay alive because later layers add pictures to them."""
    return 2 * shape.n_deepstack_layers + 1 if shape.n_deepstack_layers else 0


def _delta_net_floats(shape: Shape, context: ContextSpec) -> int:
    """Return the count of numbers that a gated delta net needs for a batch, measured to within a tenth."""
    linear = shape.delta_net
    if linear is None:
        return 0
    states = _STATES_ALIVE * linear.head_dim * linear.value_width
    per_token = _CONV_WIDTHS_ALIVE * linear.conv_width + 2 * shape.n_embd
    return round(states + context.n_ubatch * per_token)
