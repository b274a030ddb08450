"""The three offers for a newcomer: the best answers, a balanced model, a quick one.

Each model is worth its published quality (`models.catalog.quality`) less what its quant loses, less the wait
for a typical answer, by the rule in `RULES`. A model that can answer with and without thinking is worth the
better of both for the best and the quick offer; the balanced one has to be good at both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf, log2

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.models.catalog import FamilyModel, ThinkingSupport, find_family_model
from qwen3_chat.models.catalog.quality import ModelQuality, load_quality, quant_loss
from qwen3_chat.models.fit.assessment import Assessment, Fit, assess
from qwen3_chat.models.fit.machine import Machine
from qwen3_chat.models.fit.placement import Placement

ANSWER_TOKENS = 400
"""The tokens of a typical answer, some 300 words: an estimate."""
THINKING_TOKENS, LONG_THINKING_TOKENS = 2_000, 4_000
"""The tokens of thinking before it, of a hybrid model and of one that always thinks: estimates."""

POINTS_PER_DOUBLING = 5.0
"""The points that each doubling of the wait beyond a comfortable one costs."""
FLUENT_TOKENS_PER_S = 20.0
"""The speed below which one waits for words while reading; each halving costs as much as a doubled wait."""
DIVIDED_POINTS = 0.5
"""The points that a division between GPU and RAM costs: long prompts are read several times slower."""
CROWDED_SHARE, CROWDED_POINTS = 0.8, 3.0
"""The share of the usable RAM above which too little is left to other programs, and what that costs."""
SHORT_CONTEXT_POINTS = 3.0
"""The points that less than 16K of context costs, which thinking fills soon."""
SIZE_POINTS = 0.5
"""The points that twice the bits cost: the download, and the memory that other programs miss."""


class OfferKind(StrEnum):
    """The kinds of offers; the value is part of a text's key."""

    BEST = "best"
    BALANCED = "balanced"
    QUICK = "quick"


@dataclass(frozen=True, slots=True)
class OfferRule:
    """The rule of an offer: a wait up to `comfortable_s` costs nothing.

    `min_tokens_per_s` holds where any model reaches it; `is_switchable` asks for both modes in one model.
    """

    comfortable_s: float
    min_tokens_per_s: float = 0
    is_switchable: bool = False


SAME_SPEED = 0.95
"""The share of another model's speed from which on one counts as no slower."""
FAST_TOKENS_PER_S = 15.0
"""The speed of a quick model, faster than anybody reads."""

RULES = {
    OfferKind.BEST: OfferRule(comfortable_s=90),
    OfferKind.BALANCED: OfferRule(comfortable_s=60, is_switchable=True),
    OfferKind.QUICK: OfferRule(comfortable_s=10, min_tokens_per_s=FAST_TOKENS_PER_S),
}


@dataclass(frozen=True, slots=True)
class Offer:
    """An offered model; `now` is its assessment for the memory that is free at this moment."""

    kind: OfferKind
    assessment: Assessment
    now: Assessment

    @property
    def is_postponed(self) -> bool:
        """True if other programs have to be closed first: it does not fit now, or in a slower place only."""
        return not self.now.is_usable or self.now.plan.placement is not self.assessment.plan.placement

    @property
    def answer_s(self) -> float | None:
        """The seconds of a typical answer without thinking; None where the model always thinks."""
        return answer_seconds(self.assessment, ThinkingMode.NO_THINK)

    @property
    def thinking_answer_s(self) -> float | None:
        """The seconds of a typical answer with its thinking; None where the model never thinks."""
        return answer_seconds(self.assessment, ThinkingMode.THINK)


def answer_seconds(assessment: Assessment, mode: ThinkingMode) -> float | None:
    """Return the seconds of a typical answer in a mode; None where the model has no such mode."""
    thinking = assessment.model.thinking
    speed = assessment.plan.tokens_per_s
    match mode, thinking:
        case ThinkingMode.NO_THINK, ThinkingSupport.SWITCHABLE | ThinkingSupport.NEVER:
            return ANSWER_TOKENS / speed
        case ThinkingMode.THINK, ThinkingSupport.SWITCHABLE:
            return (ANSWER_TOKENS + THINKING_TOKENS) / speed
        case ThinkingMode.THINK, ThinkingSupport.ALWAYS:
            return (ANSWER_TOKENS + LONG_THINKING_TOKENS) / speed
        case _:
            return None


def shortest_answer_seconds(assessment: Assessment) -> float:
    """Return the seconds of a typical answer in the quicker of a model's modes."""
    modes = (answer_seconds(assessment, mode) for mode in ThinkingMode)
    return min((seconds for seconds in modes if seconds is not None), default=inf)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model in a quant with its assessment for a machine and the quality of its model."""

    assessment: Assessment
    quality: ModelQuality
    machine: Machine

    def worth(self, rule: OfferRule) -> float:
        """Return its points by a rule, -inf where the rule excludes it."""
        values = [value for mode in ThinkingMode if (value := self._worth_in(mode, rule)) is not None]
        if rule.is_switchable:
            return sum(values) / 2 if len(values) == 2 else -inf
        return max(values, default=-inf)

    def _worth_in(self, mode: ThinkingMode, rule: OfferRule) -> float | None:
        points, seconds = self.quality.points(mode), answer_seconds(self.assessment, mode)
        if points is None or seconds is None:
            return None
        return points - quant_cost(self.assessment, seconds, self.machine, rule)


def quant_cost(assessment: Assessment, seconds: float, machine: Machine, rule: OfferRule) -> float:
    """Return the points that a quant costs: its loss and size, the wait of so many seconds, a bad fit."""
    model, quant = assessment.model, assessment.quant
    loss = quant_loss(model, quant)
    bits = 8 * assessment.size_bytes / model.shape.parameters
    doublings = max(0.0, log2(seconds / rule.comfortable_s))
    doublings += max(0.0, log2(FLUENT_TOKENS_PER_S / assessment.plan.tokens_per_s))
    cost = (inf if loss is None else loss) + SIZE_POINTS * log2(bits / 4) + POINTS_PER_DOUBLING * doublings
    if assessment.fit is Fit.TIGHT:
        cost += SHORT_CONTEXT_POINTS
    if assessment.plan.placement in (Placement.EXPERTS_IN_RAM, Placement.PARTIAL):
        cost += DIVIDED_POINTS
    in_ram = assessment.plan.need_bytes if machine.is_unified else assessment.plan.ram_bytes
    if in_ram > CROWDED_SHARE * machine.usable_ram_bytes:
        cost += CROWDED_POINTS
    return cost


def candidates_for(machine: Machine, n_ctx: int | None = None) -> list[Candidate]:
    """Return the models that the machine can use, in every quant that is offered."""
    return [
        Candidate(assessment, quality, machine)
        for model, quality in rated_models()
        for quant in offered_quants(model)
        if (assessment := assess(model, quant, machine, n_ctx)).is_usable
    ]


def rated_models() -> Iterator[tuple[FamilyModel, ModelQuality]]:
    """Yield the models with published results, the best answers first."""
    for quality in sorted(load_quality().models, key=lambda quality: -quality.best_points):
        if model := find_family_model(quality.name):
            yield model, quality


def offered_quants(model: FamilyModel) -> tuple[str, ...]:
    """Return the quants in which a model may be offered, by rising size."""
    return tuple(quant for quant in model.quants if quant in load_quality().quants.offered)


def make_offers(
    candidates: Sequence[Candidate], now: Machine | None = None, n_ctx: int | None = None
) -> tuple[Offer, ...]:
    """Choose the three offers among the usable models; none where there are none.

    Each is no larger than the one before, writes no slower and answers as soon: who asks for less quality is
    to wait less.

    `now` is the machine with the memory that is free at this moment, where that differs.
    """
    offers: list[Offer] = []
    for kind, rule in RULES.items():
        allowed = _quicker(candidates, offers[-1].assessment, rule) if offers else candidates
        if chosen := choose(allowed, rule):
            assessment = chosen.assessment
            at_present = assess(assessment.model, assessment.quant, now, n_ctx) if now else assessment
            offers.append(Offer(kind, assessment, at_present))
    return tuple(offers)


def _quicker(candidates: Sequence[Candidate], before: Assessment, rule: OfferRule) -> list[Candidate]:
    """Return the candidates for the offer that follows another one."""
    smaller = [
        candidate
        for candidate in candidates
        if candidate.assessment.model.shape.parameters <= before.model.shape.parameters
        and candidate.worth(rule) > -inf
    ]
    min_tokens_per_s = SAME_SPEED * before.plan.tokens_per_s
    max_s = shortest_answer_seconds(before) / SAME_SPEED
    as_fast = [
        candidate for candidate in smaller if candidate.assessment.plan.tokens_per_s >= min_tokens_per_s
    ]
    as_soon = [candidate for candidate in as_fast if shortest_answer_seconds(candidate.assessment) <= max_s]
    return as_soon or as_fast or smaller


def choose(candidates: Iterable[Candidate], rule: OfferRule) -> Candidate | None:
    """Choose the candidate that is worth most by a rule; None where no candidate obeys it.

    If none is as fast as the rule asks, the fastest is chosen.
    """
    allowed = [candidate for candidate in candidates if candidate.worth(rule) > -inf]
    if not allowed:
        return None
    fast = [
        candidate for candidate in allowed if candidate.assessment.plan.tokens_per_s >= rule.min_tokens_per_s
    ]
    if not fast:
        return max(allowed, key=lambda candidate: candidate.assessment.plan.tokens_per_s)
    return max(fast, key=lambda candidate: (candidate.worth(rule), candidate.assessment.plan.tokens_per_s))
