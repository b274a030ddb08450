"""The predicted speed of a network whose parts lie in GPU memory and RAM.

Where a device was measured, the times of all that a token needs are added up: reading weights and computing
with them (whichever takes longer, by the type of the numbers), attention to all tokens before it, and the
starts of the many small operations.

Where it was not, a speed is a memory's bandwidth divided by the bytes that each token has to read. The
constants of that were fitted to published runs of Qwen3: 8B on an RTX 3090 and 5090, 14B and 30B-A3B on an M1
Max, 30B-A3B on an RTX 3080 with experts in RAM, 8B on a desktop processor. It is right to about a third.
"""

from __future__ import annotations

from dataclasses import dataclass

from qwen3_chat.models.catalog import Shape, Weights
from qwen3_chat.models.fit.context_memory import N_CTX_STEP, ContextSpec, kv_bytes
from qwen3_chat.models.fit.machine import Machine
from qwen3_chat.models.kernel_speeds import KernelSpeeds, seconds_at
from qwen3_chat.record_copies import replace
from qwen3_chat.request import KvType

CHAT_TOKENS = 2_048
"""The length of chat that a speed is predicted for."""

_GPU_SHARE, _UNIFIED_SHARE, _RAM_SHARE = 0.7, 0.55, 0.6
"""The shares of a memory's bandwidth that generating reaches."""
_UNIFIED_RAM_SHARE = 0.4  # a processor can't use the whole bandwidth of a wide shared memory
_EXPERT_SHARE = 0.6  # experts are small and scattered: caches and bursts help them less
_CPU_QUANTISED_KV_SHARE = 0.12  # flash attention over a quantised cache is limited by computing
_LAYER_S = 50e-6  # the time that a layer takes besides its reads
_RECURRENT_LAYER_S = 150e-6  # what a recurrent layer takes on top: an assumption, its kernels are young

_LAYER_OPERATIONS, _EXPERT_OPERATIONS = 26, 16
"""The operations of a Qwen3 layer in llama.cpp's graph, and those that choose experts and add them up."""
_SAMPLING_S_PER_WORD = 1e-9
"""The time for each word of the vocabulary that choosing the next one takes, by one core."""


@dataclass(frozen=True, slots=True)
class NetworkPart:
    """The part of a network that lies in one memory, by the bytes of weights that a token reads from there.

    `expert_bytes` are those of the chosen experts. The weights of layers and of the output have so many bits
    on average.
    """

    dense_bytes: int
    expert_bytes: int
    layer_share: float
    layer_bits: float
    output_bits: float
    output_bytes: int = 0

    @property
    def is_empty(self) -> bool:
        """True if a token reads nothing there."""
        return not (self.dense_bytes or self.expert_bytes or self.output_bytes)


def weight_bits(shape: Shape, weights: Weights) -> tuple[float, float]:
    """Return the average bits of a weight in the layers, and in the output."""
    n_output = shape.n_embd * shape.n_vocab
    n_embeddings = n_output if weights.is_tied else 2 * n_output
    n_layer = max(1, shape.parameters - n_embeddings)
    layer_bytes = sum(weights.layer_bytes) + sum(weights.expert_bytes) + weights.unused_bytes
    return 8 * layer_bytes / n_layer, 8 * weights.output_bytes / max(1, n_output)


def tokens_per_s(
    shape: Shape,
    machine: Machine,
    context: ContextSpec,
    on_gpu: NetworkPart,
    on_cpu: NetworkPart,
    depth: int = CHAT_TOKENS,
) -> float:
    """Predict the speed of generating in a chat of `depth` tokens."""
    at_depth = replace(context, n_ctx=min(depth, context.n_ctx))
    seconds = 0.0
    if machine.gpus:
        seconds += _gpu_s(shape, machine, at_depth, on_gpu)
    if machine.kernels and not on_cpu.is_empty:
        seconds += _measured_s(shape, machine.kernels, at_depth, on_cpu)
    else:
        seconds += _estimated_cpu_s(shape, machine, at_depth, on_cpu)
    if machine.kernels or any(gpu.kernels for gpu in machine.gpus):
        seconds += shape.n_vocab * _SAMPLING_S_PER_WORD
    if shape.delta_net:
        seconds += sum(shape.delta_net.recurrent) * _RECURRENT_LAYER_S
    return 1 / seconds


def prompt_tokens_per_s(
    shape: Shape, kernels: KernelSpeeds, context: ContextSpec, part: NetworkPart, n_tokens: int = CHAT_TOKENS
) -> float:
    """Predict the speed of evaluating a prompt of so many tokens, all on one measured device."""
    curve = kernels.prompt_weights
    seconds = _weights_n(part.dense_bytes, part.layer_bits) * seconds_at(curve, part.layer_bits)
    expert_s = _weights_n(part.expert_bytes, part.layer_bits) * seconds_at(curve, part.layer_bits)
    seconds += expert_s * kernels.prompt_expert_factor
    mean_depth = replace(context, n_ctx=min(n_tokens, context.n_ctx) // 2)
    seconds += _attention_steps(shape, mean_depth) * part.layer_share * kernels.prompt_attention_s
    return 1 / seconds


def _gpu_s(shape: Shape, machine: Machine, context: ContextSpec, part: NetworkPart) -> float:
    """Return the time on the GPUs; layers are spread by free memory, each token passes through all GPUs."""
    capacity = sum(gpu.usable_bytes for gpu in machine.gpus) or 1
    share = _UNIFIED_SHARE if machine.is_unified else _GPU_SHARE
    kv = kv_bytes(shape, context) + shape.state_bytes
    read = part.dense_bytes + part.output_bytes + part.expert_bytes / _EXPERT_SHARE + kv * part.layer_share
    seconds = 0.0
    for gpu in machine.gpus:
        if gpu.kernels and not part.is_empty:
            gpu_s = _measured_s(shape, gpu.kernels, context, part)
        else:
            gpu_s = read / (gpu.bandwidth_bytes_per_s * share) + shape.n_layers * part.layer_share * _LAYER_S
        seconds += gpu.usable_bytes / capacity * gpu_s
    return seconds


def _estimated_cpu_s(shape: Shape, machine: Machine, context: ContextSpec, part: NetworkPart) -> float:
    bandwidth = machine.ram_bandwidth_bytes_per_s
    ram_share = _UNIFIED_RAM_SHARE if machine.is_unified else _RAM_SHARE
    read = part.dense_bytes + part.output_bytes + part.expert_bytes / _EXPERT_SHARE
    kv_share = ram_share if context.kv_type is KvType.F16 else _CPU_QUANTISED_KV_SHARE
    kv = kv_bytes(shape, context) + shape.state_bytes
    seconds = read / (bandwidth * ram_share) + kv * part.layer_share / (bandwidth * kv_share)
    return seconds + shape.n_layers * part.layer_share * _LAYER_S


def _measured_s(shape: Shape, kernels: KernelSpeeds, context: ContextSpec, part: NetworkPart) -> float:
    """Add up the times of a part on a measured device."""
    dense_s = kernels.weight_s(part.layer_bits, _dense_inverse_width(shape))
    seconds = _weights_n(part.dense_bytes, part.layer_bits) * dense_s
    if shape.n_experts:
        inverse_width = _feed_forward_inverse_width(shape.n_embd, shape.n_expert_ff)
        expert_s = kernels.weight_s(part.layer_bits, inverse_width) * kernels.expert_factor
        seconds += _weights_n(part.expert_bytes, part.layer_bits) * expert_s
    output_s = kernels.weight_s(part.output_bits, 1 / shape.n_embd)
    seconds += _weights_n(part.output_bytes, part.output_bits) * output_s
    if part.layer_share:
        attention_s = _attention_s(shape, kernels, context) + shape.state_bytes / kernels.bytes_per_s
        seconds += part.layer_share * attention_s
        n_operations = _LAYER_OPERATIONS + (_EXPERT_OPERATIONS if shape.n_experts else 0)
        seconds += part.layer_share * shape.n_layers * n_operations * kernels.operation_s
    return seconds


def _dense_inverse_width(shape: Shape) -> float:
    """Return the mean of 1 / width over the weights of a layer without experts: its rows by its weights."""
    heads, kv_heads = shape.n_heads * shape.head_dim, shape.n_kv_heads * shape.head_dim
    inner = shape.n_shared_ff if shape.n_experts else shape.n_ff
    rows = heads + 2 * kv_heads + 2 * shape.n_embd + 2 * inner
    n_weights = shape.n_embd * (2 * heads + 2 * kv_heads + 3 * inner)
    return rows / max(1, n_weights)


def _feed_forward_inverse_width(width: int, inner: int) -> float:
    return (2 * inner + width) / max(1, 3 * width * inner)


def _weights_n(size_bytes: int, bits: float) -> float:
    return size_bytes * 8 / bits if bits else 0.0


def _attention_s(shape: Shape, kernels: KernelSpeeds, context: ContextSpec) -> float:
    steps = _attention_steps(shape, context)
    if context.kv_type is not KvType.F16:
        return steps * kernels.quantised_attention_s
    n_cells = _padded_cells(context)
    read_s, step_s = kernels.attention_at(n_cells)
    return _cache_numbers(shape, context) * read_s + steps * step_s


def _attention_steps(shape: Shape, context: ContextSpec) -> float:
    """Return how often a number of the cache is multiplied: once for each head that shares it."""
    return _cache_numbers(shape, context) * shape.n_heads / max(1, shape.n_kv_heads)


def _cache_numbers(shape: Shape, context: ContextSpec) -> int:
    return sum(shape.kv_widths) * _padded_cells(context)


def _padded_cells(context: ContextSpec) -> int:
    """Return the cells that llama.cpp reads: those of the chat and of the new token, by whole steps."""
    return (context.n_ctx // N_CTX_STEP + 1) * N_CTX_STEP
