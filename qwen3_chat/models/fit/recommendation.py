"""The recommendation for a machine: three offers, and the reasons against models with better answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.models.catalog import FamilyModel
from qwen3_chat.models.fit.assessment import SHORT_CONTEXTS, Assessment, Fit, Reason, assess, plan_values
from qwen3_chat.models.fit.machine import Machine
from qwen3_chat.models.fit.offers import (
    RULES,
    Offer,
    OfferKind,
    answer_seconds,
    candidates_for,
    make_offers,
    offered_quants,
    quant_cost,
    rated_models,
)
from qwen3_chat.texts.formatting import format_rough_duration

MAX_REJECTED = 3
"""The number of better models whose rejection is explained."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A model with better answers than the pick, and the reason against it."""

    assessment: Assessment
    reason: Reason


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The offers, best, balanced, quick, with the reason for the best; `pick` is its model.

    `rejected` has the nearest models with better answers. Where not even the smallest model is bearable, the
    only offer is that one if there is room for it, and there is none else.
    """

    offers: tuple[Offer, ...]
    reason: Reason
    rejected: tuple[Rejection, ...] = ()

    @property
    def pick(self) -> Assessment | None:
        """The model with the best answers."""
        return self.offers[0].assessment if self.offers else None

    @property
    def fast(self) -> Assessment | None:
        """The quick model."""
        return next((offer.assessment for offer in self.offers if offer.kind is OfferKind.QUICK), None)


def recommend(machine: Machine, n_ctx: int | None = None, now: Machine | None = None) -> Recommendation:
    """Recommend models for a machine, with 8K of context or `n_ctx`.

    `now` is the machine with the memory that is free at this moment, where that differs: it changes no offer,
    but the offers tell what does not fit yet.
    """
    candidates = candidates_for(machine, n_ctx)
    offers = make_offers(candidates, now, n_ctx)
    if not offers:
        return _last_resort(machine, n_ctx)
    pick = offers[0].assessment
    reason = Reason(f"fit.pick.{pick.plan.placement.value}", plan_values(pick.plan))
    return Recommendation(offers, reason, tuple(_rejections(pick, machine, n_ctx)))


def _rejections(pick: Assessment, machine: Machine, n_ctx: int | None) -> list[Rejection]:
    rejected = []
    for model, _ in rated_models():
        if model is pick.model:
            break
        assessment = best_quant(model, machine, n_ctx)
        rejected.append(Rejection(assessment, _reason_against(assessment)))
    return rejected[-MAX_REJECTED:]


def _reason_against(assessment: Assessment) -> Reason:
    """Return why a model with better answers is not the pick: too large, or the wait."""
    if not assessment.is_usable:
        return assessment.reason
    seconds = _longest_wait(assessment)
    return Reason("fit.wait", {"time": format_rough_duration(seconds)})


def _longest_wait(assessment: Assessment) -> float:
    times = (answer_seconds(assessment, mode) for mode in ThinkingMode)
    return max(seconds for seconds in times if seconds is not None)


def _last_resort(machine: Machine, n_ctx: int | None) -> Recommendation:
    """Recommend the smallest model where none is bearable, or nothing."""
    smallest = min((model for model, _ in rated_models()), key=lambda model: model.shape.parameters)
    quant = min(offered_quants(smallest), key=smallest.size_bytes)
    last = assess(smallest, quant, machine, n_ctx)
    if last.fit is Fit.TOO_LARGE and n_ctx is None:
        last = assess(smallest, quant, machine, SHORT_CONTEXTS[0])
    if last.fit is Fit.TOO_LARGE:
        values = last.reason.values
        reason = Reason("fit.pick.none_at", {"n_ctx": n_ctx}) if n_ctx else Reason("fit.pick.none", values)
        return Recommendation((), reason)
    reason = Reason("fit.pick.last_resort", plan_values(last.plan))
    return Recommendation((Offer(OfferKind.BEST, last, last),), reason)


def best_quant(model: FamilyModel, machine: Machine, n_ctx: int | None = None) -> Assessment:
    """Choose the quant of a model that is worth most, by the rule of the best offer; else the default one."""
    assessments = [assess(model, quant, machine, n_ctx) for quant in offered_quants(model)]
    default = assess(model, model.default_quant, machine, n_ctx)
    return best_assessment(assessments, machine) or default


def best_assessment(assessments: Sequence[Assessment], machine: Machine) -> Assessment | None:
    """Choose among the quants of one model as `best_quant` does; None where none is usable and known."""
    rule = RULES[OfferKind.BEST]
    costs = {
        index: quant_cost(assessment, _longest_wait(assessment), machine, rule)
        for index, assessment in enumerate(assessments)
        if assessment.is_usable
    }
    cheapest = min(costs, key=costs.__getitem__, default=None)
    return None if cheapest is None or costs[cheapest] == float("inf") else assessments[cheapest]
