"""How one model is best loaded on a machine, within what the user wants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from qwen3_chat.catalog import Shape, Weights
from qwen3_chat.fit.assessment import CONTEXTS, best_of
from qwen3_chat.fit.machine import Machine
from qwen3_chat.fit.placement import (
    ROOMY_CPU_UBATCH,
    Plan,
    cpu_plan,
    gpu_context,
    has_room,
    pinned_plan,
    plans,
)
from qwen3_chat.request import KvType, LoadSettings

SHORT_CONTEXTS = (4_096, 2_048)
"""What is better than nothing, where not even the shortest recommended context fits."""
_BOUNDLESS_BYTES = 1 << 50


def plan_load(
    shape: Shape, weights: Weights, machine: Machine, wanted: LoadSettings, most_n_ctx: int
) -> tuple[Plan, bool]:
    """Plan how to load a model, and tell whether the machine has room for that.

    Without room for any plan, the GPU is filled and the weights in RAM are left to the system, which reads
    them from the disk again and again. What `wanted` says stands in any case.
    """
    if not shape.n_experts:
        wanted = replace(wanted, n_cpu_moe=None)
    for contexts in _tiers(wanted.n_ctx, most_n_ctx):
        found = [
            plan
            for n_ctx in contexts
            for kv_type in _kv_types(wanted)
            for plan in _plans(shape, weights, machine, n_ctx, kv_type, wanted)
        ]
        if best := best_of(found):
            return _roomy(best, shape, weights, machine), True
    n_ctx, kv_type = wanted.n_ctx or min(SHORT_CONTEXTS[0], most_n_ctx), wanted.kv_type or KvType.F16
    if _is_pinned(wanted, machine):
        context = gpu_context(n_ctx, kv_type)
        return pinned_plan(shape, weights, machine, context, wanted.n_gpu_layers, wanted.n_cpu_moe), False
    boundless = replace(machine, ram_free_bytes=_BOUNDLESS_BYTES)
    best = best_of(list(_plans(shape, weights, boundless, n_ctx, kv_type, wanted)))
    return best or cpu_plan(shape, weights, machine, n_ctx, kv_type), False


def _roomy(plan: Plan, shape: Shape, weights: Weights, machine: Machine) -> Plan:
    """Evaluate prompts in larger chunks, without a GPU, where there is room for that as well."""
    if plan.n_gpu_layers:
        return plan
    context = plan.context
    larger = cpu_plan(shape, weights, machine, context.n_ctx, context.kv_type, ROOMY_CPU_UBATCH)
    return larger if larger.ram_bytes <= machine.usable_ram_bytes else plan


def _tiers(wanted: int | None, most: int) -> Iterator[tuple[int, ...]]:
    """Yield the contexts to choose among, then the ones to fall back on."""
    if wanted:
        yield (wanted,)
        return
    yield tuple(dict.fromkeys(min(n_ctx, most) for n_ctx in CONTEXTS))
    for n_ctx in SHORT_CONTEXTS:
        if n_ctx < most:
            yield (n_ctx,)


def _kv_types(wanted: LoadSettings) -> tuple[KvType, ...]:
    return (wanted.kv_type,) if wanted.kv_type else tuple(KvType)


def _is_pinned(wanted: LoadSettings, machine: Machine) -> bool:
    """Tell whether the user chose what goes to the GPU."""
    is_chosen = wanted.n_gpu_layers is not None or wanted.n_cpu_moe is not None
    return is_chosen and wanted.n_gpu_layers != 0 and bool(machine.gpus)


def _plans(
    shape: Shape, weights: Weights, machine: Machine, n_ctx: int, kv_type: KvType, wanted: LoadSettings
) -> Iterator[Plan]:
    if _is_pinned(wanted, machine):
        context = gpu_context(n_ctx, kv_type)
        plan = pinned_plan(shape, weights, machine, context, wanted.n_gpu_layers, wanted.n_cpu_moe)
        if has_room(plan, weights, machine):
            yield plan
        return
    if wanted.n_gpu_layers == 0:
        machine = replace(machine, gpus=())
    yield from plans(shape, weights, machine, n_ctx, kv_type)
