"""The bytes that a model's tensors take in each quant.

The choice of a type for each tensor follows `llama_tensor_get_type_impl` of llama.cpp's src/llama-quant.cpp,
without what depends on an importance matrix (which changes Q4_0, Q5_0 and the IQ types only).
"""

from __future__ import annotations

from functools import cache

from qwen3_chat.models.shape import Shape, Tensor, TensorRole
from qwen3_chat.models.weights import Weights, WeightsSum

TENSOR_TYPE_BLOCKS = {
    "F32": (1, 4), "F16": (1, 2), "BF16": (1, 2), "Q8_0": (32, 34), "Q5_0": (32, 22), "Q4_0": (32, 18),
    "Q2_K": (256, 84), "Q3_K": (256, 110), "Q4_K": (256, 144), "Q5_K": (256, 176), "Q6_K": (256, 210),
}  # fmt: skip
"""The blocks of each type: the number of weights in one, and its bytes.

`models.gguf` has the same by ggml's numbers, for every type that a file may hold; this module needs no file.
"""

BASE_TENSOR_TYPES = {
    "Q2_K": "Q2_K", "Q3_K_S": "Q3_K", "Q3_K_M": "Q3_K", "Q4_K_S": "Q4_K", "Q4_K_M": "Q4_K", "Q5_0": "Q5_0",
    "Q5_K_S": "Q5_K", "Q5_K_M": "Q5_K", "Q6_K": "Q6_K", "Q8_0": "Q8_0", "BF16": "BF16", "F16": "F16",
}  # fmt: skip
"""The quants whose sizes a formula gives, with the type of most tensors."""

REFERENCE_QUANT = "Q4_K_M"
"""The quant from whose mix of types those of unknown quants are estimated."""

ALIGNMENT_BYTES = 32
HEADER_BYTES = 5_933_400
"""Metadata, vocabulary and template of Qwen3's files; published files differ from it by 0.7 kB."""


@cache
def weights(shape: Shape, quant: str) -> Weights:
    """Add up a model's tensors; `quant` is one of `BASE_TENSOR_TYPES`."""
    total = WeightsSum()
    for tensor in shape.tensors():
        total.add(tensor.name, tensor_bytes(tensor, tensor_type(tensor, shape, quant)))
    added = total.weights(shape.n_layers, shape.n_unused_layers)
    assert added  # every layer has tensors
    return added


def scaled_weights(shape: Shape, quant: str, total_bytes: int) -> Weights:
    """Estimate the bytes of a file's tensors by their sum; an unknown quant counts as `REFERENCE_QUANT`."""
    if not shape.has_known_tensors:
        return _rough_weights(shape).scaled_to(total_bytes)
    known_quant = quant if quant in BASE_TENSOR_TYPES else REFERENCE_QUANT
    return weights(shape, known_quant).scaled_to(total_bytes)


def _rough_weights(shape: Shape) -> Weights:
    """Return weights in the proportions of a usual network, for one whose tensors are not known."""
    width, heads = shape.n_embd, shape.n_heads * shape.head_dim
    experts = 3 * width * shape.n_expert_ff * shape.n_experts
    dense = 2 * width * heads + 2 * width * shape.n_kv_heads * shape.head_dim
    dense += 3 * width * (shape.n_shared_ff if shape.n_experts else shape.n_ff)
    embedding = width * shape.n_vocab
    layers = (max(1, dense),) * shape.n_layers
    return Weights(
        embedding, embedding, layers, (experts,) * shape.n_layers if experts else (), is_tied=False
    )


@cache
def file_bytes(shape: Shape, quant: str) -> int:
    """Predict the size of a file; `quant` is one of `BASE_TENSOR_TYPES`."""
    table = sum(
        8 + len(tensor.name) + 4 + 8 * len(tensor.dimensions) + 4 + 8  # gguf.md, `gguf_tensor_info_t`
        for tensor in shape.tensors()
    )
    return weights(shape, quant).total_bytes + HEADER_BYTES + table


def tensor_bytes(tensor: Tensor, type_name: str) -> int:
    """Return the bytes of a tensor, with the padding before the next one."""
    block_weights, block_bytes = TENSOR_TYPE_BLOCKS[type_name]
    size = tensor.n_weights // block_weights * block_bytes
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def tensor_type(tensor: Tensor, shape: Shape, quant: str) -> str:
    """Return the type that llama.cpp quantises a tensor to."""
    base = BASE_TENSOR_TYPES[quant]
    if tensor.role is TensorRole.UNQUANTISED:
        return "F32"
    if quant in ("F16", "BF16", "Q8_0"):
        return base
    if tensor.role is TensorRole.OUTPUT or (tensor.role is TensorRole.EMBEDDING and shape.is_tied):
        return "Q6_K"
    if tensor.layer is None:
        return base
    layer, n_layers = tensor.layer, shape.n_layers
    is_widely_shared = shape.n_heads // shape.n_kv_heads >= 4
    match quant, tensor.role:
        case "Q2_K", TensorRole.VALUE:
            return "Q4_K" if is_widely_shared else "Q3_K"
        case "Q2_K", TensorRole.DOWN | TensorRole.ATTENTION_OUTPUT:
            return "Q3_K"
        case "Q3_K_M", TensorRole.VALUE:
            return "Q5_K" if layer < 2 else "Q4_K"
        case "Q3_K_M", TensorRole.DOWN:
            return "Q5_K" if layer < n_layers // 16 else "Q4_K"
        case "Q3_K_M", TensorRole.ATTENTION_OUTPUT:
            return "Q4_K"
        case "Q4_K_S", TensorRole.VALUE:
            return "Q5_K" if layer < 4 else base
        case "Q4_K_S", TensorRole.DOWN:
            return "Q5_K" if layer < n_layers // 8 else base
        case "Q4_K_M" | "Q5_K_M", TensorRole.VALUE | TensorRole.DOWN:
            return "Q6_K" if _gets_more_bits(layer, n_layers) else base
    return base


def _gets_more_bits(layer: int, n_layers: int) -> bool:
    """Return `use_more_bits` of llama.cpp: the first and last eighth, and every third layer between."""
    eighth = n_layers // 8
    return layer < eighth or layer >= 7 * n_layers // 8 or (layer - eighth) % 3 == 2
