"""How well one model in one quant fits a machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from qwen3_chat.catalog import FamilyModel, Shape, Weights
from qwen3_chat.fit.machine import Machine
from qwen3_chat.fit.placement import Placement, Plan, cpu_plan, plans
from qwen3_chat.fit.reasons import Reason, Values, values_of, write_context
from qwen3_chat.request import KvType
from qwen3_chat.sizes import write_size

TARGET_N_CTX, LEAST_N_CTX = 16_384, 8_192
CONTEXTS = (TARGET_N_CTX, 12_288, LEAST_N_CTX)
LEAST_TOKENS_PER_S = 5.0
FAST_TOKENS_PER_S = 20.0


class Fit(StrEnum):
    """How well it fits, the best first."""

    GOOD = "good"
    TIGHT = "tight"
    SLOW = "slow"
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a model would be like here; without room for it, `plan` says what it needs at least."""

    model: FamilyModel
    quant: str
    fit: Fit
    plan: Plan
    reason: Reason

    @property
    def is_usable(self) -> bool:
        """Whether it holds a conversation at a bearable speed."""
        return self.fit in (Fit.GOOD, Fit.TIGHT)


def assess(
    model: FamilyModel,
    quant: str,
    machine: Machine,
    n_ctx: int | None = None,
    size_bytes: int | None = None,
) -> Assessment:
    """Find the best way to run a model; `n_ctx` is the context that it must have, else 16K down to 8K.

    `size_bytes` is the size of a file that isn't one of the catalogue's.
    """
    weights = model.weights(quant) if size_bytes is None else model.weights_in(size_bytes)
    most_n_ctx = max(model.n_ctx_train, model.n_ctx_yarn or 0)
    if n_ctx and n_ctx > most_n_ctx:
        least = cpu_plan(model.shape, weights, machine, most_n_ctx, KvType.F16)
        reason = Reason("fit.short_context", {"n_ctx": most_n_ctx})
        return Assessment(model, quant, Fit.TOO_LARGE, least, reason)
    plan = best_plan(model.shape, weights, machine, n_ctx)
    if plan is None:
        return _too_large(model, quant, weights, machine, n_ctx)
    values = values_of(plan)
    if plan.tokens_per_s < LEAST_TOKENS_PER_S:
        reason = Reason(f"fit.slow.{plan.placement.value}", values)
        return Assessment(model, quant, Fit.SLOW, plan, reason)
    reason = Reason(f"fit.good.{plan.placement.value}", values)
    is_short = n_ctx is None and plan.context.n_ctx < TARGET_N_CTX
    return Assessment(model, quant, Fit.TIGHT if is_short else Fit.GOOD, plan, reason)


@lru_cache(maxsize=4096)
def best_plan(shape: Shape, weights: Weights, machine: Machine, n_ctx: int | None = None) -> Plan | None:
    """Choose the plan: a fast one before a slow one, then the faster placement, then the longer context.

    Returns:
        The plan, None where nothing fits.
    """
    return best_of(list(_possible_plans(shape, weights, machine, n_ctx)))


def best_of(found: Sequence[Plan]) -> Plan | None:
    """Choose among plans as `best_plan` does."""
    if not found:
        return None
    bearable = [plan for plan in found if plan.tokens_per_s >= LEAST_TOKENS_PER_S]
    if not bearable:
        return max(found, key=lambda plan: plan.tokens_per_s)
    return min(bearable, key=_rank)


def _rank(plan: Plan) -> tuple[int, bool, int, bool]:
    """Rank by placement, then by context; a processor is slow with a quantised cache, so that comes last."""
    is_quantised = plan.context.kv_type is not KvType.F16
    is_last_resort = is_quantised and plan.placement is Placement.CPU
    return list(Placement).index(plan.placement), is_last_resort, -plan.context.n_ctx, is_quantised


def _possible_plans(shape: Shape, weights: Weights, machine: Machine, n_ctx: int | None) -> Iterator[Plan]:
    for wanted in (n_ctx,) if n_ctx else CONTEXTS:
        for kv_type in KvType:
            yield from plans(shape, weights, machine, wanted, kv_type)


def _too_large(
    model: FamilyModel, quant: str, weights: Weights, machine: Machine, n_ctx: int | None
) -> Assessment:
    least = cpu_plan(model.shape, weights, machine, n_ctx or LEAST_N_CTX, KvType.Q8_0)
    # What is free may be enough, but not in one piece: each part of the model needs its memory beside it.
    key = "fit.split" if least.need_bytes <= machine.usable_bytes else "fit.too_large"
    shorter = best_plan(model.shape, weights, machine) if n_ctx and n_ctx > LEAST_N_CTX else None
    need, free = write_size(least.need_bytes), write_size(machine.usable_bytes)
    if need == free:  # a digit more shows the difference
        need, free = write_size(least.need_bytes, digits=2), write_size(machine.usable_bytes, digits=2)
    values: Values = {"need": need, "free": free}
    if shorter:
        key, values["context"] = "fit.too_long", write_context(shorter.context)
    return Assessment(model, quant, Fit.TOO_LARGE, least, Reason(key, values))
