"""The cost of a small model that drafts for a large one on a machine, and its measured speedup.

A dense model at least eight times as large gains on a GPU that holds both; models with experts lose. On a
processor, on GPUs that share the RAM and on several GPUs, only a measurement can tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from qwen3_chat.models.catalog import FamilyModel, Shape, find_family_model
from qwen3_chat.models.fit.assessment import Assessment, best_plan
from qwen3_chat.models.fit.context_memory import ContextSpec, compute_bytes, kv_bytes
from qwen3_chat.models.fit.machine import Machine
from qwen3_chat.models.fit.placement import Placement, PlacementPlan
from qwen3_chat.models.observed_runs import find_draft_speedup
from qwen3_chat.record_copies import replace
from qwen3_chat.request import MAX_DRAFT_N_CTX
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import format_size

AUTO_DRAFT_NAMES: Final = ("1.7B", "0.6B")
"""The models that may draft without being named, the better ones first."""

MIN_DRAFT_RATIO: Final = 8
"""The times that a model has to be larger than the one that drafts for it."""

MIN_DRAFT_SPEEDUP: Final = 1.05
"""The measured speedup from which a model drafts without being named; less is within the noise."""


class DraftObstacle(StrEnum):
    """The reason why a model can't draft for another one, or why that one can't gain by it."""

    EXPERTS = "experts"
    STATES = "states"
    TOKENS = "tokens"
    RATIO = "ratio"


@dataclass(frozen=True, slots=True)
class DraftCandidate:
    """A model that could draft, in one quant, with the size of its weights."""

    model: FamilyModel
    quant: str
    size_bytes: int
    is_installed: bool = False


@dataclass(frozen=True, slots=True)
class DraftAssessment:
    """A draft model beside the model that it drafts for; `plan` is that model's beside it, None without room.

    `need_bytes` is its own memory; `speedup` is None where it was not measured on this machine.
    """

    candidate: DraftCandidate
    need_bytes: int
    plan: PlacementPlan | None
    speedup: float | None
    is_automatic: bool
    """True if `--draft auto` uses it once it is installed."""

    @property
    def is_relevant(self) -> bool:
        """True if it is there already, was measured, or would be used by itself."""
        return self.candidate.is_installed or self.speedup is not None or self.is_automatic

    @property
    def total_bytes(self) -> int:
        """The memory of both; that of the draft model alone without room."""
        return self.need_bytes + (self.plan.need_bytes if self.plan else 0)

    @property
    def verdict(self) -> str:
        """Its memory and its speedup, as a sentence without a full stop."""
        name = self.candidate.model.name
        need = format_size(self.need_bytes)
        if self.plan is None:
            return t("draft.no_room", name=name, need=need)
        values = {"name": name, "need": need, "total": format_size(self.total_bytes)}
        if self.speedup is not None:
            return t("draft.measured", **values, speedup=f"{self.speedup:.2f}")
        return t("draft.unmeasured", **values)


def may_draft_for(target: Shape, draft: Shape) -> bool:
    """Return whether a model can gain by another one's drafts."""
    return find_draft_obstacle(target, draft) is None


def find_draft_obstacle(target: Shape, draft: Shape) -> DraftObstacle | None:
    """Return why a model can't gain by another one's drafts, whatever the memory; None where it can.

    It is dense, can take tokens back, which recurrent layers can't, has the same number of tokens, and is
    large enough beside it.
    """
    if target.n_experts or draft.n_experts:
        return DraftObstacle.EXPERTS
    if target.delta_net or draft.delta_net:
        return DraftObstacle.STATES
    if target.n_vocab != draft.n_vocab:
        return DraftObstacle.TOKENS
    if not 0 < MIN_DRAFT_RATIO * draft.parameters <= target.parameters:
        return DraftObstacle.RATIO
    return None


def draft_need_bytes(shape: Shape, size_bytes: int, context: ContextSpec) -> int:
    """Return the memory that a draft model takes beside another one with that context."""
    shorter = replace(context, n_ctx=min(context.n_ctx, MAX_DRAFT_N_CTX))
    return size_bytes + kv_bytes(shape, shorter) + compute_bytes(shape, shorter)


def without_memory(machine: Machine, need_bytes: int) -> Machine:
    """Return the machine with the memory that is left beside a draft model: on its largest GPU, or RAM."""
    largest = max(machine.gpus, key=lambda gpu: gpu.free_bytes, default=None)
    gpus = tuple(
        replace(gpu, free_bytes=max(0, gpu.free_bytes - need_bytes)) if gpu is largest else gpu
        for gpu in machine.gpus
    )
    if largest is not None and not largest.shares_ram:
        return replace(machine, gpus=gpus)
    return replace(machine, gpus=gpus, ram_free_bytes=max(0, machine.ram_free_bytes - need_bytes))


def drafts_by_itself(machine: Machine, is_all_on_gpu: bool, speedup: float | None) -> bool:
    """Return whether a draft model that nobody named is used: where it was faster, or is known to be.

    It is known to be where one GPU with its own memory holds both.
    """
    if speedup is not None:
        return speedup >= MIN_DRAFT_SPEEDUP
    return is_all_on_gpu and machine.n_usable_gpus == 1 and not machine.is_unified


def assess_draft(
    target: Assessment, machine: Machine, installed: Iterable[DraftCandidate]
) -> DraftAssessment | None:
    """Assess the best draft model for a model: an installed one before the others; None where none suits."""
    candidate = _choose_candidate(target.model.shape, list(installed))
    if candidate is None or not target.is_usable:
        return None
    return assess_candidate(target, machine, candidate)


def assess_candidate(target: Assessment, machine: Machine, candidate: DraftCandidate) -> DraftAssessment:
    """Assess one draft model beside a model."""
    shape, context = target.model.shape, target.plan.context
    draft_shape = candidate.model.shape
    need_bytes = draft_need_bytes(draft_shape, candidate.size_bytes, context)
    weights = target.model.weights(target.quant)
    if target.quant not in target.model.quants:
        weights = target.model.estimated_weights(target.size_bytes)
    plan = best_plan(shape, weights, without_memory(machine, need_bytes), context.n_ctx)
    if plan is not None and plan.placement is not target.plan.placement:
        plan = None  # a part of the large model would have to give way, which costs more than drafts bring
    speedup = None
    if plan is not None:
        network = (shape.architecture, shape.parameters, weights.total_bytes)
        speedup = find_draft_speedup(
            machine.observed, network, plan.n_gpu_layers, plan.n_cpu_moe, draft_shape.parameters
        )
    on_gpu = plan is not None and plan.placement is Placement.GPU
    is_automatic = plan is not None and drafts_by_itself(machine, on_gpu, speedup)
    return DraftAssessment(candidate, need_bytes, plan, speedup, is_automatic)


def _choose_candidate(target: Shape, installed: list[DraftCandidate]) -> DraftCandidate | None:
    """Return the installed model that `--draft auto` would choose, or else the one to get."""
    order = list(AUTO_DRAFT_NAMES)
    by_rank = sorted(
        (candidate for candidate in (*installed, *_catalogued()) if candidate.model.name in order),
        key=lambda candidate: (not candidate.is_installed, order.index(candidate.model.name)),
    )
    return next((one for one in by_rank if may_draft_for(target, one.model.shape)), None)


def _catalogued() -> Iterable[DraftCandidate]:
    for name in AUTO_DRAFT_NAMES:
        model = find_family_model(name)
        if model is not None:
            quant = model.default_quant
            yield DraftCandidate(model, quant, model.size_bytes(quant))
