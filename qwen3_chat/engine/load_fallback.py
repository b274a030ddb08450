"""The fallback of a load: the kind of failure behind an error, and the next smaller plan to try."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.events import Notice
from qwen3_chat.models.fit.assessment import MIN_N_CTX
from qwen3_chat.models.fit.placement import CPU_UBATCH
from qwen3_chat.record_copies import replace
from qwen3_chat.request import KvType, LoadSettings

_OUT_OF_MEMORY_PHRASES = (
    "out of memory",
    "insufficient memory",
    "failed to allocate",
    "unable to allocate",
    "cannot allocate",
    "bad_alloc",
)

LAST_RESORT_N_CTX = 2_048
"""The smallest context of a fallback, below `MIN_N_CTX`, after everything else was given up."""
_MIN_UBATCH = 32
_PORTIONS = 4
"""The number of portions in which the layers leave the GPU."""
_STATUS_NO_MEMORY = -2  # of llama_decode


class LoadFailure(StrEnum):
    """The kind of failure of a load or a first token."""

    WEIGHTS = "weights"
    """Not enough memory for the model itself."""
    MEMORY = "memory"
    """Not enough memory, for an unknown part."""
    GPU = "gpu"
    """A failure other than memory, perhaps of the GPU's driver."""


def is_out_of_memory(reason: str) -> bool:
    """Return whether a message of llama.cpp, ggml or a GPU's driver says that memory ran out."""
    return any(phrase in reason.lower() for phrase in _OUT_OF_MEMORY_PHRASES)


def classify_failure(error: EngineError) -> LoadFailure | None:
    """Return the kind of failure of a load or a first token; None if another attempt would be useless."""
    match error.code:
        case ErrorCode.MODEL_NOT_LOADABLE:
            return LoadFailure.WEIGHTS if is_out_of_memory(str(error.values["reason"])) else None
        case ErrorCode.OUT_OF_MEMORY | ErrorCode.CONTEXT_NOT_CREATED | ErrorCode.ENGINE_KILLED:
            return LoadFailure.MEMORY
        case ErrorCode.ENGINE_ENDED_BY_SIGNAL:  # C++ ends like this where `new` fails
            return LoadFailure.MEMORY if error.values["name"] == "SIGABRT" else LoadFailure.GPU
        case ErrorCode.UNEXPECTED_FAILURE:
            return LoadFailure.MEMORY if error.values["error"] == "MemoryError" else None
        case ErrorCode.ENGINE_ABORTED:
            return LoadFailure.GPU
        case ErrorCode.EVALUATION_FAILED:
            return LoadFailure.MEMORY if error.values["status"] == _STATUS_NO_MEMORY else LoadFailure.GPU
        case _:
            return None


def next_plan(plan: LoadPlan, failure: LoadFailure, settings: LoadSettings) -> tuple[LoadPlan, Notice] | None:
    """Return the next smaller plan with a notice for the user, or None if there is none."""
    if failure is LoadFailure.GPU:
        is_free = plan.n_gpu_layers and settings.n_gpu_layers is None
        return (_on_cpu(plan), Notice("engine.gpu_given_up")) if is_free else None
    steps = (
        _smaller_gpu_plans(plan, settings)
        if failure is LoadFailure.WEIGHTS
        else _smaller_plans(plan, settings)
    )
    return next(steps, None)


def _smaller_plans(plan: LoadPlan, settings: LoadSettings) -> Iterator[tuple[LoadPlan, Notice]]:
    """Yield plans that give something up, the least important first."""
    half = plan.n_ctx // 2
    if settings.n_ctx is None and half >= MIN_N_CTX:
        yield _with_context(plan, half)
    if settings.kv_type is None and plan.kv_type is KvType.F16:
        yield (
            replace(plan, kv_type=KvType.Q8_0, flash_attention=True),
            Notice("engine.kv_quantised"),
        )
    if plan.n_ubatch > _MIN_UBATCH:
        smaller = max(_MIN_UBATCH, plan.n_ubatch // 4)
        yield replace(plan, n_ubatch=smaller), Notice("engine.smaller_chunks", {"tokens": smaller})
    yield from _smaller_gpu_plans(plan, settings)
    if settings.n_ctx is None and half >= LAST_RESORT_N_CTX:
        yield _with_context(plan, half)


def _smaller_gpu_plans(plan: LoadPlan, settings: LoadSettings) -> Iterator[tuple[LoadPlan, Notice]]:
    """Yield plans that need less memory of the GPU."""
    portion = -(-plan.n_layers // _PORTIONS)
    if plan.n_gpu_layers == 0:
        return
    if plan.n_cpu_moe and settings.n_cpu_moe is None and plan.n_cpu_moe < plan.n_layers:
        more = min(plan.n_layers, plan.n_cpu_moe + portion)
        notice = Notice("engine.experts_in_ram", {"layers": more, "total": plan.n_layers})
        yield plan.with_placement(plan.n_gpu_layers, more), notice
    if settings.n_gpu_layers is not None:
        return
    fewer = plan.n_gpu_layers - portion
    if fewer > 0:
        notice = Notice("engine.partly_on_gpu", {"layers": fewer, "total": plan.n_layers})
        yield plan.with_placement(fewer, plan.n_cpu_moe), notice
    yield _on_cpu(plan), Notice("engine.not_on_gpu")


def _with_context(plan: LoadPlan, n_ctx: int) -> tuple[LoadPlan, Notice]:
    return replace(plan, n_ctx=n_ctx), Notice("engine.context_reduced", {"n_ctx": n_ctx})


def _on_cpu(plan: LoadPlan) -> LoadPlan:
    return replace(plan.with_placement(0, 0), n_ubatch=min(plan.n_ubatch, CPU_UBATCH))
