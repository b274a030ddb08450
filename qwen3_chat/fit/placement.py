"""Where the parts of a model go: all on the GPU, experts or layers in RAM, everything in RAM."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from qwen3_chat.catalog import Shape, Weights
from qwen3_chat.fit.machine import Machine
from qwen3_chat.fit.memory import ContextSpec, compute_bytes, kv_bytes
from qwen3_chat.fit.speed import Reading, tokens_per_s
from qwen3_chat.request import KvType
from qwen3_chat.sizes import MIB

PROGRAM_BYTES = 300 * MIB
"""The two processes without a model."""
CPU_UBATCH, ROOMY_CPU_UBATCH, GPU_UBATCH = 128, 256, 512
"""The chunks that the worker evaluates a prompt in; on a CPU the larger ones where memory is plenty."""
_STREAMED_TENSORS = 1.5
"""Weights in RAM pass through the GPU for long prompts: its buffer grows by so many large tensors."""


class Placement(StrEnum):
    """Where the weights are, the fastest first."""

    GPU = "gpu"
    EXPERTS_IN_RAM = "experts_in_ram"
    PARTIAL = "partial"
    CPU = "cpu"


@dataclass(frozen=True, slots=True)
class Plan:
    """A way to load a model that the machine has room for, or would need room for.

    `n_gpu_layers` counts the layers on the GPU, the last ones; `n_cpu_moe` those layers whose experts stay in
    RAM, from the first on.
    """

    placement: Placement
    context: ContextSpec
    n_gpu_layers: int
    n_cpu_moe: int
    gpu_bytes: int
    ram_bytes: int
    tokens_per_s: float

    @property
    def need_bytes(self) -> int:
        """All the memory it takes."""
        return self.gpu_bytes + self.ram_bytes


def plans(shape: Shape, weights: Weights, machine: Machine, n_ctx: int, kv_type: KvType) -> Iterator[Plan]:
    """Yield the plans that fit, at most one for each placement, in the order of `Placement`."""
    if machine.usable_gpu_bytes:
        yield from _gpu_plans(shape, weights, machine, gpu_context(n_ctx, kv_type))
    plan = cpu_plan(shape, weights, machine, n_ctx, kv_type)
    if plan.ram_bytes <= machine.usable_ram_bytes:
        yield plan


def cpu_plan(
    shape: Shape,
    weights: Weights,
    machine: Machine,
    n_ctx: int,
    kv_type: KvType,
    n_ubatch: int = CPU_UBATCH,
) -> Plan:
    """Plan without any GPU, whether it fits or not."""
    context = ContextSpec(n_ctx, kv_type, n_ubatch, flash_attention=kv_type is not KvType.F16)
    return _plan(shape, weights, machine, context, Placement.CPU, 0, 0)


def pinned_plan(
    shape: Shape,
    weights: Weights,
    machine: Machine,
    context: ContextSpec,
    n_gpu_layers: int | None,
    n_cpu_moe: int | None,
) -> Plan:
    """Plan with so many layers on the GPU, all for None, and the experts of so many in RAM.

    Where the latter is None, as few experts as possible stay in RAM.
    """
    layers = shape.n_layers if n_gpu_layers is None else min(n_gpu_layers, shape.n_layers)

    def with_experts_in_ram(n_moved: int) -> Plan:
        placement = Placement.GPU if layers == shape.n_layers else Placement.PARTIAL
        if n_moved:
            placement = Placement.EXPERTS_IN_RAM
        return _plan(shape, weights, machine, context, placement, layers, n_moved)

    if not shape.n_experts:
        return with_experts_in_ram(0)
    if n_cpu_moe is not None:
        return with_experts_in_ram(min(n_cpu_moe, shape.n_layers))
    found = map(with_experts_in_ram, range(shape.n_layers + 1))
    return next(
        (plan for plan in found if _suits_gpus(plan, weights, machine)), with_experts_in_ram(shape.n_layers)
    )


def gpu_context(n_ctx: int, kv_type: KvType) -> ContextSpec:
    """Say how a context on a GPU is made."""
    return ContextSpec(n_ctx, kv_type, GPU_UBATCH, flash_attention=True)


def _gpu_plans(shape: Shape, weights: Weights, machine: Machine, context: ContextSpec) -> Iterator[Plan]:
    """Yield the plan with all on the GPU if it fits, else the one with as much there as it holds."""
    everything = _plan(shape, weights, machine, context, Placement.GPU, shape.n_layers, 0)
    if has_room(everything, weights, machine):
        yield everything
        return
    if machine.is_unified:  # nothing is gained by dividing one memory
        return

    def divided(n_moved: int) -> Plan:
        if shape.n_experts:
            return _plan(shape, weights, machine, context, Placement.EXPERTS_IN_RAM, shape.n_layers, n_moved)
        return _plan(shape, weights, machine, context, Placement.PARTIAL, shape.n_layers - n_moved, 0)

    # The fewest layers (or their experts) to move to RAM: each one takes less of the GPU, more of the RAM.
    most = shape.n_layers if shape.n_experts else shape.n_layers - 1
    moves = range(1, most + 1)
    at = bisect_left(moves, True, key=lambda n_moved: _suits_gpus(divided(n_moved), weights, machine))
    if at < len(moves) and has_room(plan := divided(moves[at]), weights, machine):
        yield plan


def _suits_gpus(plan: Plan, weights: Weights, machine: Machine) -> bool:
    # Several GPUs take whole layers each: the last part of one may stay empty.
    largest_layer_bytes = max(weights.layer_bytes) + max(weights.expert_bytes, default=0)
    lost_bytes = (machine.n_usable_gpus - 1) * largest_layer_bytes
    return plan.gpu_bytes + lost_bytes <= machine.usable_gpu_bytes


def has_room(plan: Plan, weights: Weights, machine: Machine) -> bool:
    """Tell whether the machine holds a plan."""
    in_ram = plan.need_bytes if machine.is_unified else plan.ram_bytes
    return in_ram <= machine.usable_ram_bytes and _suits_gpus(plan, weights, machine)


def _plan(
    shape: Shape,
    weights: Weights,
    machine: Machine,
    context: ContextSpec,
    placement: Placement,
    n_gpu_layers: int,
    n_cpu_moe: int,
) -> Plan:
    """Add up one way to place a model; llama.cpp puts the last layers and the output on the GPU first."""
    first = shape.n_layers - n_gpu_layers
    gpu_dense, cpu_dense = sum(weights.layer_bytes[first:]), sum(weights.layer_bytes[:first])
    gpu_experts = sum(weights.expert_bytes[max(first, n_cpu_moe) :])
    cpu_experts = sum(weights.expert_bytes) - gpu_experts
    share = n_gpu_layers / shape.n_layers
    kv, compute = kv_bytes(shape, context), compute_bytes(shape, context)
    if n_gpu_layers:
        gpu_dense += weights.output_bytes
        streamed = _streamed_bytes(shape, weights) if cpu_dense or cpu_experts else 0
        gpu = gpu_dense + gpu_experts + round(kv * share) + machine.n_usable_gpus * (compute + streamed)
        is_second_copy = weights.is_tied and machine.is_unified  # mapped once, used by both
        ram = cpu_dense + cpu_experts + (0 if is_second_copy else weights.embedding_bytes)
        ram += kv - round(kv * share) + (compute if cpu_dense else 0)
    else:
        output = 0 if weights.is_tied else weights.output_bytes
        gpu, ram = 0, weights.embedding_bytes + output + cpu_dense + cpu_experts + kv + compute
        cpu_dense += weights.output_bytes
    used = shape.n_experts_used / shape.n_experts if shape.n_experts else 0
    speed = tokens_per_s(
        shape,
        machine,
        context,
        on_gpu=Reading(gpu_dense, round(gpu_experts * used), share),
        on_cpu=Reading(cpu_dense, round(cpu_experts * used), 1 - share),
    )
    return Plan(placement, context, n_gpu_layers, n_cpu_moe, gpu, ram + PROGRAM_BYTES, speed)


def _streamed_bytes(shape: Shape, weights: Weights) -> int:
    """Estimate what the GPU's buffer grows by where it borrows weights from RAM."""
    if shape.n_experts:
        return round(_STREAMED_TENSORS * max(weights.expert_bytes) / 3)  # gate, up, down
    return round(_STREAMED_TENSORS * max(weights.layer_bytes) / 3)
