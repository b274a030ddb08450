"""The plan for loading a model on a machine within the user's settings, and the longest context it may have.

Qwen3's hybrid models are trained for 32,768 tokens (40,960 in their files, with room for an answer) and were
tested up to 131,072 with YaRN: https://qwen.readthedocs.io/en/latest/run_locally/llama.cpp.html
"""

from __future__ import annotations

from collections.abc import Iterator

from qwen3_chat.models.catalog import Shape, Weights
from qwen3_chat.models.catalog.family import HYBRID_ANSWER_TOKENS, HYBRID_N_CTX, YARN_N_CTX
from qwen3_chat.models.fit.assessment import CONTEXTS, SHORT_CONTEXTS, TARGET_N_CTX, choose_plan
from qwen3_chat.models.fit.machine import Machine
from qwen3_chat.models.fit.placement import (
    LARGE_CPU_UBATCH,
    PlacementPlan,
    cpu_plan,
    gpu_context,
    has_room,
    pinned_plan,
    plans,
    with_long_context,
)
from qwen3_chat.record_copies import replace
from qwen3_chat.request import KvType, LoadSettings

YARN_BASE_N_CTX = HYBRID_N_CTX
"""The context to which YaRN's factor refers."""
_YARN_ARCHITECTURES = ("qwen3", "qwen3moe")
_MIN_YARN_PARAMETERS = 3e9
"""The smallest model with YaRN: 0.6B and 1.7B lose their way in long texts before that."""


def max_supported_n_ctx(shape: Shape | None, n_ctx_train: int) -> int:
    """Return the longest context that a model may have; `n_ctx_train` is the one in its file."""
    return YARN_N_CTX if _can_be_stretched(shape, n_ctx_train) else n_ctx_train


def yarn_factor(shape: Shape | None, n_ctx_train: int, n_ctx: int) -> float:
    """Return the factor by which positions are scaled for a context; 1 where none is needed."""
    if n_ctx <= YARN_BASE_N_CTX or not _can_be_stretched(shape, n_ctx_train):
        return 1.0
    return n_ctx / YARN_BASE_N_CTX


def _can_be_stretched(shape: Shape | None, n_ctx_train: int) -> bool:
    if shape is None or shape.architecture not in _YARN_ARCHITECTURES:
        return False
    is_hybrid = n_ctx_train in (HYBRID_N_CTX, HYBRID_N_CTX + HYBRID_ANSWER_TOKENS)
    return is_hybrid and shape.parameters >= _MIN_YARN_PARAMETERS


_BOUNDLESS_BYTES = 1 << 50


def plan_load(
    shape: Shape, weights: Weights, machine: Machine, settings: LoadSettings, max_n_ctx: int
) -> tuple[PlacementPlan, bool]:
    """Plan the loading of a model, and return whether the machine has room for it.

    Without room for any plan, the GPU is filled and the weights in RAM are left to the system, which reads
    them from the disk again and again. Every value in `settings` stands in any case.
    """
    if not weights.expert_bytes:
        settings = replace(settings, n_cpu_moe=None)
    for contexts in _context_tiers(settings.n_ctx, max_n_ctx):
        candidates = [
            plan
            for n_ctx in contexts
            for kv_type in _kv_types(settings)
            for plan in _plans_within(shape, weights, machine, n_ctx, kv_type, settings)
        ]
        if best := choose_plan(candidates):
            if settings.n_ctx is None and best.context.n_ctx == TARGET_N_CTX:
                best = with_long_context(best, shape, weights, machine, max_n_ctx)
            return _with_larger_batch(best, shape, weights, machine), True
    n_ctx, kv_type = settings.n_ctx or min(SHORT_CONTEXTS[0], max_n_ctx), settings.kv_type or KvType.F16
    if _is_pinned(settings, machine):
        context = gpu_context(n_ctx, kv_type)
        return pinned_plan(shape, weights, machine, context, settings.n_gpu_layers, settings.n_cpu_moe), False
    boundless = replace(machine, ram_free_bytes=_BOUNDLESS_BYTES)
    best = choose_plan(list(_plans_within(shape, weights, boundless, n_ctx, kv_type, settings)))
    return best or cpu_plan(shape, weights, machine, n_ctx, kv_type), False


def _with_larger_batch(
    plan: PlacementPlan, shape: Shape, weights: Weights, machine: Machine
) -> PlacementPlan:
    """Return a plan that evaluates prompts in larger chunks, without a GPU, where there is room for it."""
    if plan.n_gpu_layers:
        return plan
    context = plan.context
    larger = cpu_plan(shape, weights, machine, context.n_ctx, context.kv_type, LARGE_CPU_UBATCH)
    return larger if larger.ram_bytes <= machine.usable_ram_bytes else plan


def _context_tiers(n_ctx_setting: int | None, max_n_ctx: int) -> Iterator[tuple[int, ...]]:
    """Yield the contexts to choose among, then each shorter one to fall back on."""
    if n_ctx_setting:
        yield (n_ctx_setting,)
        return
    yield tuple(dict.fromkeys(min(n_ctx, max_n_ctx) for n_ctx in CONTEXTS))
    for n_ctx in SHORT_CONTEXTS:
        if n_ctx < max_n_ctx:
            yield (n_ctx,)


def _kv_types(settings: LoadSettings) -> tuple[KvType, ...]:
    return (settings.kv_type,) if settings.kv_type else tuple(KvType)


def _is_pinned(settings: LoadSettings, machine: Machine) -> bool:
    """Return whether the user chose the parts that go to the GPU."""
    is_chosen = settings.n_gpu_layers is not None or settings.n_cpu_moe is not None
    return is_chosen and settings.n_gpu_layers != 0 and bool(machine.gpus)


def _plans_within(
    shape: Shape, weights: Weights, machine: Machine, n_ctx: int, kv_type: KvType, settings: LoadSettings
) -> Iterator[PlacementPlan]:
    if _is_pinned(settings, machine):
        context = gpu_context(n_ctx, kv_type)
        plan = pinned_plan(shape, weights, machine, context, settings.n_gpu_layers, settings.n_cpu_moe)
        if has_room(plan, weights, machine):
            yield plan
        return
    if settings.n_gpu_layers == 0:
        machine = replace(machine, gpus=())
    yield from plans(shape, weights, machine, n_ctx, kv_type)
