"""How many tokens per second a model will write: the bytes that a token has to read, over the bandwidth.

Calibrated on published runs of Qwen3: 8B on an RTX 3090 and 5090, 14B and 30B-A3B on an M1 Max, 30B-A3B on
an RTX 3080 with experts in RAM, 8B on a desktop processor. Good to a third or so.
"""

from __future__ import annotations

from dataclasses import dataclass

from qwen3_chat.catalog import Shape
from qwen3_chat.fit.machine import Machine
from qwen3_chat.fit.memory import ContextSpec, kv_bytes
from qwen3_chat.request import KvType

CHAT_TOKENS = 2_048
"""The length of chat that a speed is predicted for."""
_GPU_SHARE, _UNIFIED_SHARE, _RAM_SHARE = 0.7, 0.55, 0.6
_UNIFIED_RAM_SHARE = 0.4  # the processor of a chip with one wide memory can't take all that it offers
_EXPERT_SHARE = 0.6  # experts are small and scattered: caches and bursts serve them less well
_CPU_QUANTISED_KV_SHARE = 0.12  # flash attention over a quantised cache keeps a processor busy computing
_LAYER_S = 50e-6


@dataclass(frozen=True, slots=True)
class Reading:
    """The bytes of weights that one token reads from one memory, with the share of layers that are there."""

    dense_bytes: int
    expert_bytes: int
    layer_share: float


def tokens_per_s(
    shape: Shape, machine: Machine, context: ContextSpec, on_gpu: Reading, on_cpu: Reading
) -> float:
    """Predict the speed of writing in a chat of `CHAT_TOKENS`."""
    depth = ContextSpec(
        min(CHAT_TOKENS, context.n_ctx), context.kv_type, context.n_ubatch, context.flash_attention
    )
    kv = kv_bytes(shape, depth)
    seconds = shape.n_layers * _LAYER_S
    if machine.gpus:
        share = _UNIFIED_SHARE if machine.is_unified else _GPU_SHARE
        capacity = sum(gpu.usable_bytes for gpu in machine.gpus) or 1
        seconds_per_byte = sum(  # layers are spread by free memory; each token passes through all GPUs
            gpu.usable_bytes / capacity / (gpu.bandwidth_bytes_per_s * share) for gpu in machine.gpus
        )
        read = on_gpu.dense_bytes + on_gpu.expert_bytes / _EXPERT_SHARE + kv * on_gpu.layer_share
        seconds += read * seconds_per_byte
    bandwidth = machine.ram_bandwidth_bytes_per_s
    ram_share = _UNIFIED_RAM_SHARE if machine.is_unified else _RAM_SHARE
    seconds += (on_cpu.dense_bytes + on_cpu.expert_bytes / _EXPERT_SHARE) / (bandwidth * ram_share)
    kv_share = ram_share if context.kv_type is KvType.F16 else _CPU_QUANTISED_KV_SHARE
    seconds += kv * on_cpu.layer_share / (bandwidth * kv_share)
    return 1 / seconds
