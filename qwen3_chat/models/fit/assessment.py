"""The assessment of a model in one quant on a machine, with the reason as a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from qwen3_chat.models.catalog import FamilyModel, Shape, Weights
from qwen3_chat.models.fit.context_memory import ContextSpec
from qwen3_chat.models.fit.machine import Machine
from qwen3_chat.models.fit.placement import Placement, PlacementPlan, cpu_plan, plans, with_long_context
from qwen3_chat.request import KvType
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import format_size, speed_figure

ReasonValues = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence for people: a key of the text catalogue with its values."""

    key: str
    values: ReasonValues = field(default_factory=dict)
    is_observed: bool = False
    """True if its speed is the one that the model had when it ran here."""

    def __str__(self) -> str:
        text = t(self.key, **self.values)
        return t("fit.observed", text=text) if self.is_observed else text


def plan_values(plan: PlacementPlan) -> ReasonValues:
    """Return the numbers of a plan as they appear in sentences."""
    return {
        "context": format_context(plan.context),
        "need": format_size(plan.need_bytes),
        "gpu": format_size(plan.gpu_bytes),
        "ram": format_size(plan.ram_bytes),
        "speed": speed_figure(plan.tokens_per_s),
        "layers": plan.n_gpu_layers,
    }


def format_context(context: ContextSpec) -> str:
    """Write a context: `16K`, `8K with q8_0 KV`, or all digits of its length."""
    n_ctx = context.n_ctx
    length = f"{n_ctx // 1024}K" if n_ctx % 1024 == 0 else str(n_ctx)
    if context.kv_type is KvType.F16:
        return length
    return t("fit.quantised_kv", length=length, kv=context.kv_type.value)


TARGET_N_CTX, MIN_N_CTX = 16_384, 8_192
CONTEXTS = (TARGET_N_CTX, 12_288, MIN_N_CTX)
SHORT_CONTEXTS = (4_096, 2_048)
"""The contexts that are better than none where not even the shortest recommended one fits."""
MIN_TOKENS_PER_S = 5.0


class Fit(StrEnum):
    """The degree of fit, the best first."""

    GOOD = "good"
    TIGHT = "tight"
    SLOW = "slow"
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True)
class Assessment:
    """The result of assessing a model in one quant; if it is too large, `plan` has its minimum needs."""

    model: FamilyModel
    quant: str
    fit: Fit
    plan: PlacementPlan
    reason: Reason
    size_bytes: int
    """The size of its file."""

    @property
    def is_usable(self) -> bool:
        """True if it fits and generates at least `MIN_TOKENS_PER_S`."""
        return self.fit in (Fit.GOOD, Fit.TIGHT)


def assess(
    model: FamilyModel,
    quant: str,
    machine: Machine,
    n_ctx: int | None = None,
    size_bytes: int | None = None,
) -> Assessment:
    """Find the best plan for running a model in a quant, and assess it.

    `n_ctx` is the context that it must have; None tries 16K, or more where memory is plentiful, 12K, 8K.
    `size_bytes` is the size of a file that is not in the catalogue.
    """
    weights = model.weights(quant) if size_bytes is None else model.estimated_weights(size_bytes)
    file_bytes = model.size_bytes(quant) if size_bytes is None else size_bytes
    max_n_ctx = max(model.n_ctx_train, model.n_ctx_yarn or 0)
    if n_ctx and n_ctx > max_n_ctx:
        minimum_plan = cpu_plan(model.shape, weights, machine, max_n_ctx, KvType.F16)
        reason = Reason("fit.short_context", {"n_ctx": max_n_ctx})
        return Assessment(model, quant, Fit.TOO_LARGE, minimum_plan, reason, file_bytes)
    plan = best_plan(model.shape, weights, machine, n_ctx)
    if plan is None:
        return _too_large(model, quant, weights, machine, n_ctx, file_bytes)
    if n_ctx is None and plan.context.n_ctx == TARGET_N_CTX:
        plan = with_long_context(plan, model.shape, weights, machine, model.n_ctx_train)
    values = plan_values(plan)
    if plan.tokens_per_s < MIN_TOKENS_PER_S:
        reason = Reason(f"fit.slow.{plan.placement.value}", values, plan.is_observed)
        return Assessment(model, quant, Fit.SLOW, plan, reason, file_bytes)
    reason = Reason(f"fit.good.{plan.placement.value}", values, plan.is_observed)
    is_short = n_ctx is None and plan.context.n_ctx < TARGET_N_CTX
    return Assessment(model, quant, Fit.TIGHT if is_short else Fit.GOOD, plan, reason, file_bytes)


@lru_cache(maxsize=4096)
def best_plan(
    shape: Shape, weights: Weights, machine: Machine, n_ctx: int | None = None
) -> PlacementPlan | None:
    """Choose the plan: at least `MIN_TOKENS_PER_S` first, then the faster placement, then the longer context.

    Where every plan is slower than that, the fastest is chosen.

    Returns:
        The plan, None where nothing fits.
    """
    return choose_plan(list(_possible_plans(shape, weights, machine, n_ctx)))


def choose_plan(candidates: Sequence[PlacementPlan]) -> PlacementPlan | None:
    """Choose among plans as `best_plan` does."""
    if not candidates:
        return None
    fast_enough = [plan for plan in candidates if plan.tokens_per_s >= MIN_TOKENS_PER_S]
    if not fast_enough:
        return max(candidates, key=lambda plan: plan.tokens_per_s)
    return min(fast_enough, key=_rank)


def _rank(plan: PlacementPlan) -> tuple[int, bool, int, bool]:
    """Rank by placement, then by context; a processor is slow with a quantised cache, so that comes last."""
    is_quantised = plan.context.kv_type is not KvType.F16
    is_last_resort = is_quantised and plan.placement is Placement.CPU
    return list(Placement).index(plan.placement), is_last_resort, -plan.context.n_ctx, is_quantised


def _possible_plans(
    shape: Shape, weights: Weights, machine: Machine, n_ctx: int | None
) -> Iterator[PlacementPlan]:
    for candidate_n_ctx in (n_ctx,) if n_ctx else CONTEXTS:
        for kv_type in KvType:
            yield from plans(shape, weights, machine, candidate_n_ctx, kv_type)


def _too_large(
    model: FamilyModel, quant: str, weights: Weights, machine: Machine, n_ctx: int | None, file_bytes: int
) -> Assessment:
    minimum_plan = cpu_plan(model.shape, weights, machine, n_ctx or MIN_N_CTX, KvType.Q8_0)
    # GPU and RAM together would have enough free memory, but no split of the model fits both.
    key = "fit.split" if minimum_plan.need_bytes <= machine.usable_bytes else "fit.too_large"
    shorter = best_plan(model.shape, weights, machine) if n_ctx and n_ctx > MIN_N_CTX else None
    need, free = format_size(minimum_plan.need_bytes), format_size(machine.usable_bytes)
    if need == free:  # a digit more shows the difference
        need = format_size(minimum_plan.need_bytes, digits=2)
        free = format_size(machine.usable_bytes, digits=2)
    values: ReasonValues = {"need": need, "free": free}
    if shorter:
        key, values["context"] = "fit.too_long", format_context(shorter.context)
    return Assessment(model, quant, Fit.TOO_LARGE, minimum_plan, Reason(key, values), file_bytes)
