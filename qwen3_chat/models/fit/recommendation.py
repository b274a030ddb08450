"""The recommendation for a machine: the model with the best answers, and a fast one beside it."""

from __future__ import annotations

from dataclasses import dataclass

from qwen3_chat.models.catalog import QUALITY_ORDER, FamilyModel, find_family_model
from qwen3_chat.models.fit.assessment import (
    FAST_TOKENS_PER_S,
    SHORT_CONTEXTS,
    Assessment,
    Fit,
    Reason,
    assess,
    plan_values,
)
from qwen3_chat.models.fit.machine import Machine

_BY_QUALITY = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The pick with its reason; `fast` is another model where the pick is not fast itself.

    `rejected` has the models with better answers than the pick, each with the reason against it. Where not
    even the smallest model is bearable, `pick` is that one if there is room for it, else None.
    """

    pick: Assessment | None
    reason: Reason
    fast: Assessment | None = None
    rejected: tuple[Assessment, ...] = ()


def recommend(machine: Machine, n_ctx: int | None = None) -> Recommendation:
    """Recommend the best answers at 5 tokens per second or more, with 8K of context or `n_ctx`."""
    candidates = [model for name in QUALITY_ORDER if (model := find_family_model(name))]
    rejected: list[Assessment] = []
    for model in candidates:
        first = assess(model, model.default_quant, machine, n_ctx)
        if first.is_usable:
            pick = _best_quant(first, machine, n_ctx)
            fast = _fast(candidates, machine, n_ctx) if pick.plan.tokens_per_s < FAST_TOKENS_PER_S else None
            return Recommendation(pick, _reason(pick), fast, tuple(rejected))
        rejected.append(first)
    smallest = rejected[-1]
    if smallest.fit is Fit.TOO_LARGE and n_ctx is None:
        smallest = assess(smallest.model, smallest.quant, machine, SHORT_CONTEXTS[0])
    if smallest.fit is Fit.TOO_LARGE:
        values = smallest.reason.values
        reason = Reason("fit.pick.none_at", {"n_ctx": n_ctx}) if n_ctx else Reason("fit.pick.none", values)
        return Recommendation(None, reason, None, tuple(rejected))
    reason = Reason("fit.pick.last_resort", plan_values(smallest.plan))
    return Recommendation(smallest, reason, None, tuple(rejected[:-1]))


def best_quant(model: FamilyModel, machine: Machine, n_ctx: int | None = None) -> Assessment:
    """Choose the best quant of a model with the pace, placement and full context of its default one."""
    first = assess(model, model.default_quant, machine, n_ctx)
    return _best_quant(first, machine, n_ctx) if first.is_usable else first


def _best_quant(first: Assessment, machine: Machine, n_ctx: int | None) -> Assessment:
    """Choose the best quant with the full context and the placement of the default one."""
    for quant in _BY_QUALITY:
        if quant == first.quant:
            return first
        better = assess(first.model, quant, machine, n_ctx)
        if better.fit is Fit.GOOD and better.plan.placement is first.plan.placement:
            return better
    return first


def _fast(candidates: list[FamilyModel], machine: Machine, n_ctx: int | None) -> Assessment | None:
    for model in candidates:
        assessed = assess(model, model.default_quant, machine, n_ctx)
        if assessed.is_usable and assessed.plan.tokens_per_s >= FAST_TOKENS_PER_S:
            return assessed
    return None


def _reason(pick: Assessment) -> Reason:
    return Reason(f"fit.pick.{pick.plan.placement.value}", plan_values(pick.plan))
