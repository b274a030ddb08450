"""The placement of a model's parts in GPU memory and RAM, with the memory it takes and its speed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from qwen3_chat.models.catalog import Shape, Weights
from qwen3_chat.models.fit.context_memory import ContextSpec, compute_bytes, kv_bytes, state_bytes
from qwen3_chat.models.fit.machine import Machine
from qwen3_chat.models.fit.speed import NetworkPart, tokens_per_s, weight_bits
from qwen3_chat.models.observed_runs import find_runs
from qwen3_chat.record_copies import replace
from qwen3_chat.request import DEFAULT_CPU_UBATCH, DEFAULT_GPU_UBATCH, KvType
from qwen3_chat.texts.formatting import MIB

PROGRAM_BYTES = 300 * MIB
"""The memory of the two processes without a model."""

CPU_UBATCH, LARGE_CPU_UBATCH, GPU_UBATCH = 128, DEFAULT_CPU_UBATCH, DEFAULT_GPU_UBATCH
"""The numbers of tokens evaluated at once; on a CPU the larger one where memory is plentiful."""

MAX_EXCESS = 1.5
"""The times that an observed memory may be the predicted one; beyond that, something else took it."""

_STREAMED_TENSORS = 1.5
"""The number of large tensors by which a GPU's buffer grows if weights in RAM are streamed through it."""


class Placement(StrEnum):
    """The kinds of memory that hold the weights, the fastest first."""

    GPU = "gpu"
    EXPERTS_IN_RAM = "experts_in_ram"
    PARTIAL = "partial"
    CPU = "cpu"


@dataclass(frozen=True, slots=True)
class PlacementPlan:
    """A way to load a model, with its predicted speed and the memory it needs, maybe more than is free.

    `n_gpu_layers` counts the layers on the GPU, the last ones; `n_cpu_moe` those layers whose experts stay in
    RAM, from the first on. With `is_observed`, the speed is the one that the model had when it ran here.
    """

    placement: Placement
    context: ContextSpec
    n_gpu_layers: int
    n_cpu_moe: int
    gpu_bytes: int
    ram_bytes: int
    tokens_per_s: float
    is_observed: bool = False

    @property
    def need_bytes(self) -> int:
        """The memory that it takes in all."""
        return self.gpu_bytes + self.ram_bytes


def plans(
    shape: Shape, weights: Weights, machine: Machine, n_ctx: int, kv_type: KvType
) -> Iterator[PlacementPlan]:
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
) -> PlacementPlan:
    """Return the plan without a GPU, whether it fits or not."""
    context = ContextSpec(n_ctx, kv_type, n_ubatch, flash_attention=kv_type is not KvType.F16)
    return _plan(shape, weights, machine, context, Placement.CPU, 0, 0)


def pinned_plan(
    shape: Shape,
    weights: Weights,
    machine: Machine,
    context: ContextSpec,
    n_gpu_layers: int | None,
    n_cpu_moe: int | None,
) -> PlacementPlan:
    """Return the plan with the given numbers of layers on the GPU and of layers whose experts stay in RAM.

    If `n_gpu_layers` is None, all layers are on the GPU; if `n_cpu_moe` is None, as few experts as possible
    stay in RAM.
    """
    layers = shape.n_layers if n_gpu_layers is None else min(n_gpu_layers, shape.n_layers)

    def with_experts_in_ram(n_moved: int) -> PlacementPlan:
        placement = Placement.GPU if layers == shape.n_layers else Placement.PARTIAL
        if n_moved:
            placement = Placement.EXPERTS_IN_RAM
        return _plan(shape, weights, machine, context, placement, layers, n_moved)

    if not weights.expert_bytes:
        return with_experts_in_ram(0)
    if n_cpu_moe is not None:
        return with_experts_in_ram(min(n_cpu_moe, shape.n_layers))
    candidates = map(with_experts_in_ram, range(shape.n_layers + 1))
    return next(
        (plan for plan in candidates if _fits_gpus(plan, weights, machine)),
        with_experts_in_ram(shape.n_layers),
    )


LONG_CONTEXTS = (131_072, 65_536, 32_768)
"""The contexts that are useful where memory is plentiful: Qwen advises 32,768 tokens for an answer alone."""
PLENTY_SHARE = 0.6
"""The share of the usable RAM that a model with a long context may take; other programs need RAM too."""


def with_long_context(
    plan: PlacementPlan, shape: Shape, weights: Weights, machine: Machine, max_n_ctx: int
) -> PlacementPlan:
    """Return the plan with the longest useful context that changes nothing else and leaves RAM to others."""
    if plan.context.kv_type is not KvType.F16:
        return plan
    for n_ctx in LONG_CONTEXTS:
        if plan.context.n_ctx < n_ctx <= max_n_ctx:
            context = replace(plan.context, n_ctx=n_ctx)
            longer = _plan(
                shape, weights, machine, context, plan.placement, plan.n_gpu_layers, plan.n_cpu_moe
            )
            in_ram = longer.need_bytes if machine.is_unified else longer.ram_bytes
            if in_ram <= PLENTY_SHARE * machine.usable_ram_bytes and has_room(longer, weights, machine):
                return longer
    return plan


def gpu_context(n_ctx: int, kv_type: KvType) -> ContextSpec:
    """Return the parameters of a context on a GPU."""
    return ContextSpec(n_ctx, kv_type, GPU_UBATCH, flash_attention=True)


def _gpu_plans(
    shape: Shape, weights: Weights, machine: Machine, context: ContextSpec
) -> Iterator[PlacementPlan]:
    """Yield the plan with everything on the GPU if that fits, else the one with as much there as fits."""
    everything = _plan(shape, weights, machine, context, Placement.GPU, shape.n_layers, 0)
    if has_room(everything, weights, machine):
        yield everything
        return
    if machine.is_unified:  # nothing is gained by dividing one memory
        return

    def divided(n_moved: int) -> PlacementPlan:
        if weights.expert_bytes:
            return _plan(shape, weights, machine, context, Placement.EXPERTS_IN_RAM, shape.n_layers, n_moved)
        return _plan(shape, weights, machine, context, Placement.PARTIAL, shape.n_layers - n_moved, 0)

    # The fewest layers (or their experts) to move to RAM: each one frees memory of the GPU and takes RAM.
    max_moved = shape.n_layers if weights.expert_bytes else shape.n_layers - 1
    moves = range(1, max_moved + 1)
    first = bisect_left(moves, True, key=lambda n_moved: _fits_gpus(divided(n_moved), weights, machine))
    if first < len(moves) and has_room(plan := divided(moves[first]), weights, machine):
        yield plan


def _fits_gpus(plan: PlacementPlan, weights: Weights, machine: Machine) -> bool:
    # Several GPUs take whole layers each: the last part of one may stay empty.
    largest_layer_bytes = max(weights.layer_bytes) + max(weights.expert_bytes, default=0)
    lost_bytes = (machine.n_usable_gpus - 1) * largest_layer_bytes
    return plan.gpu_bytes + lost_bytes <= machine.usable_gpu_bytes


def has_room(plan: PlacementPlan, weights: Weights, machine: Machine) -> bool:
    """Return True if the machine has room for a plan, in RAM and on its GPUs."""
    in_ram = plan.need_bytes if machine.is_unified else plan.ram_bytes
    return in_ram <= machine.usable_ram_bytes and _fits_gpus(plan, weights, machine)


def _plan(
    shape: Shape,
    weights: Weights,
    machine: Machine,
    context: ContextSpec,
    placement: Placement,
    n_gpu_layers: int,
    n_cpu_moe: int,
) -> PlacementPlan:
    """Compute the plan of a placement."""
    first = shape.n_layers - n_gpu_layers
    cpu_dense = sum(weights.layer_bytes[:first])
    gpu_experts = sum(weights.expert_bytes[max(first, n_cpu_moe) :])
    cpu_experts = sum(weights.expert_bytes) - gpu_experts
    share = n_gpu_layers / shape.n_layers
    kv, compute = kv_bytes(shape, context) + state_bytes(shape), compute_bytes(shape, context)
    if n_gpu_layers:
        streamed = _streamed_bytes(weights) if cpu_dense or cpu_experts else 0
        gpu = sum(weights.layer_bytes[first:]) + weights.output_bytes + gpu_experts
        gpu += round(kv * share) + machine.n_usable_gpus * (compute + streamed)
        is_second_copy = weights.is_tied and machine.is_unified  # mapped once, used by both
        ram = cpu_dense + cpu_experts + (0 if is_second_copy else weights.embedding_bytes)
        ram += kv - round(kv * share) + (compute if cpu_dense else 0)
    else:
        output = 0 if weights.is_tied else weights.output_bytes
        gpu, ram = 0, weights.embedding_bytes + output + cpu_dense + cpu_experts + kv + compute
    on_gpu, on_cpu = network_parts(shape, weights, n_gpu_layers, n_cpu_moe)
    speed = tokens_per_s(shape, machine, context, on_gpu, on_cpu)
    plan = PlacementPlan(placement, context, n_gpu_layers, n_cpu_moe, gpu, ram + PROGRAM_BYTES, speed)
    return _corrected(plan, shape, weights, machine) if machine.observed else plan


def _corrected(plan: PlacementPlan, shape: Shape, weights: Weights, machine: Machine) -> PlacementPlan:
    """Return a plan with the speed and the memory that were observed when the model ran in this placement.

    A speed is carried over to the usual depth by the prediction. Of the memory only more than the predicted
    counts: the cache is used little by little.
    """
    network = (shape.architecture, shape.parameters, weights.total_bytes)
    kv_type = plan.context.kv_type.value
    runs = find_runs(machine.observed, network, plan.n_gpu_layers, plan.n_cpu_moe, kv_type)
    if not runs:
        return plan
    parts = network_parts(shape, weights, plan.n_gpu_layers, plan.n_cpu_moe)
    speeds = [
        speed.tokens_per_s
        * plan.tokens_per_s
        / tokens_per_s(shape, machine, plan.context, *parts, max(1, speed.depth))
        for speed in runs[0].speeds
    ]
    ram_bytes = plan.ram_bytes
    held_bytes = max((run.held_bytes for run in runs if run.n_ctx == plan.context.n_ctx), default=0)
    if not plan.n_gpu_layers and held_bytes <= MAX_EXCESS * plan.ram_bytes:
        ram_bytes = max(ram_bytes, held_bytes)
    speed = median(speeds) if speeds else plan.tokens_per_s
    return replace(plan, tokens_per_s=speed, ram_bytes=ram_bytes, is_observed=bool(speeds))


def network_parts(
    shape: Shape, weights: Weights, n_gpu_layers: int, n_cpu_moe: int
) -> tuple[NetworkPart, NetworkPart]:
    """Return what a token reads on the GPU and in RAM; the last layers and the output go to the GPU first."""
    first = shape.n_layers - n_gpu_layers
    used = shape.n_experts_used / shape.n_experts if shape.n_experts else 1
    gpu_experts = sum(weights.expert_bytes[max(first, n_cpu_moe) :])
    cpu_experts = sum(weights.expert_bytes) - gpu_experts
    share, bits = n_gpu_layers / shape.n_layers, weight_bits(shape, weights)
    gpu_output, cpu_output = (weights.output_bytes, 0) if n_gpu_layers else (0, weights.output_bytes)
    return (
        NetworkPart(sum(weights.layer_bytes[first:]), round(gpu_experts * used), share, *bits, gpu_output),
        NetworkPart(
            sum(weights.layer_bytes[:first]), round(cpu_experts * used), 1 - share, *bits, cpu_output
        ),
    )


def _streamed_bytes(weights: Weights) -> int:
    """Estimate the growth of a GPU's buffer where weights in RAM are streamed through it."""
    if weights.expert_bytes:
        return round(_STREAMED_TENSORS * max(weights.expert_bytes) / 3)  # gate, up, down
    return round(_STREAMED_TENSORS * max(weights.layer_bytes) / 3)
