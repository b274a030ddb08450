"""The bytes that a context takes: its KV cache and llama.cpp's compute buffer.

The buffer's formulas follow the allocator of the llama.cpp that pyproject.toml pins, with the worker's
settings (few outputs); the tests compare them with its own account, shape by shape.
"""

from __future__ import annotations

from dataclasses import dataclass

from qwen3_chat.models.catalog import Shape
from qwen3_chat.request import KvType

_FLOAT_BYTES = 4
_MASK_BYTES, _FLASH_MASK_BYTES = 4, 2
N_CTX_STEP = 256
"""The number of tokens to a multiple of which llama.cpp rounds a context up."""

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
    return round(shape.kv_values_per_token / 2 * (keys + values) * cells)


def compute_bytes(shape: Shape, context: ContextSpec) -> int:
    """Return the size of the compute buffer: the larger of its two peaks, with the attention's mask."""
    heads, kv_heads = shape.n_heads * shape.head_dim, shape.n_kv_heads * shape.head_dim
    if context.flash_attention:
        mask_bytes, attention = _FLASH_MASK_BYTES * context.n_ctx, 0
    else:
        queries = heads * (2 if context.kv_type is KvType.F16 else 1)
        attention = 3 * shape.n_embd + queries + 2 * kv_heads + shape.n_heads * context.n_ctx
        mask_bytes = _MASK_BYTES * context.n_ctx
    floats = max(attention, _feed_forward_floats(shape, context))
    return context.n_ubatch * (floats * _FLOAT_BYTES + mask_bytes)


def _feed_forward_floats(shape: Shape, context: ContextSpec) -> int:
    """Return the count of numbers per token that are alive in the middle of a layer's second half."""
    if shape.n_experts:
        return 2 * shape.n_experts_used * (shape.n_embd + shape.n_expert_ff)
    heads = shape.n_heads * shape.head_dim
    # The memory that attention leaves stays unused, unless a later tensor has exactly its size.
    if context.kv_type is not KvType.F16 and heads == shape.n_embd:
        unused = 0
    else:
        unused = heads if heads < 2 * shape.n_embd else heads - shape.n_embd
    return 3 * shape.n_ff + 3 * shape.n_embd + unused
