"""The planning of a load beside a draft model: its memory, and whether one that nobody named is used."""

from __future__ import annotations

from pathlib import Path

from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.load_planner import file_weights, make_plan, read_header_and_size
from qwen3_chat.errors import ModelError
from qwen3_chat.events import Notice
from qwen3_chat.models.fit import Machine
from qwen3_chat.models.fit.context_memory import ContextSpec
from qwen3_chat.models.fit.drafts import draft_need_bytes, drafts_by_itself, may_draft_for, without_memory
from qwen3_chat.models.gguf import GgufHeader
from qwen3_chat.models.observed_runs import find_draft_speedup
from qwen3_chat.record_copies import replace
from qwen3_chat.request import MAX_DRAFT_N_CTX, LoadSettings


def plan_with_draft(
    header: GgufHeader, size_bytes: int, machine: Machine, settings: LoadSettings
) -> tuple[LoadPlan, tuple[Notice, ...]]:
    """Make a plan that leaves room for the draft model of the settings, where it is to be used."""
    alone = make_plan(header, size_bytes, machine, settings)
    try:
        draft, draft_bytes = read_header_and_size(Path(settings.draft))
    except ModelError:  # the worker tells what is wrong with it
        return alone
    need_bytes = _draft_bytes(draft, draft_bytes, alone[0])
    planned, notices = make_plan(header, size_bytes, without_memory(machine, need_bytes), settings)
    if not settings.drafts_on_gpu_only:
        return planned, notices
    if not _drafts_by_itself(header, size_bytes, draft, planned, machine):
        return alone
    return replace(planned, auto_draft_gpu_layers=planned.n_gpu_layers), notices


def _draft_bytes(draft: GgufHeader, size_bytes: int, plan: LoadPlan) -> int:
    """Return the memory that a draft model takes beside another one with that plan."""
    if (shape := draft.shape) is None:
        return size_bytes + draft.kv_bytes_per_token * min(plan.n_ctx, MAX_DRAFT_N_CTX)
    context = ContextSpec(plan.n_ctx, plan.kv_type, plan.n_ubatch, plan.flash_attention is not False)
    return draft_need_bytes(shape, size_bytes, context)


def _drafts_by_itself(
    header: GgufHeader, size_bytes: int, draft: GgufHeader, plan: LoadPlan, machine: Machine
) -> bool:
    """Return whether a draft model that nobody named is used with a plan."""
    shape, draft_shape = header.shape, draft.shape
    if shape is None or draft_shape is None or not may_draft_for(shape, draft_shape):
        return False
    network = (shape.architecture, shape.parameters, file_weights(shape, header, size_bytes).total_bytes)
    speedup = find_draft_speedup(
        machine.observed, network, plan.n_gpu_layers, plan.n_cpu_moe, draft_shape.parameters
    )
    return drafts_by_itself(machine, plan.is_all_on_gpu, speedup)
