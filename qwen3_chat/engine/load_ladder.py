"""What is tried next where a model could not be loaded, or could not evaluate its first token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum

from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.memory_words import speaks_of_memory
from qwen3_chat.errors import EngineError
from qwen3_chat.events import Notice
from qwen3_chat.fit.placement import CPU_UBATCH
from qwen3_chat.request import KvType, LoadSettings

COMFORTABLE_N_CTX, SMALLEST_N_CTX = 8_192, 2_048
_SMALLEST_UBATCH = 32
_PORTIONS = 4
"""In so many portions the layers leave the GPU."""
_NO_MEMORY = -2  # of llama_decode


class Trouble(StrEnum):
    """What was in the way."""

    WEIGHTS = "weights"
    """Not enough memory for the model itself."""
    MEMORY = "memory"
    """Not enough memory for whatever it was."""
    GPU = "gpu"
    """Something else than memory, which may be the GPU's driver."""


def trouble_of(error: EngineError) -> Trouble | None:
    """Tell what was in the way of a load or a first token; None where another try would be of no use."""
    match error.key:
        case "engine.load_refused":
            return Trouble.WEIGHTS if speaks_of_memory(str(error.values["reason"])) else None
        case "engine.out_of_memory" | "engine.context_refused" | "engine.killed":
            return Trouble.MEMORY
        case "engine.signalled":  # C++ ends like this where `new` fails
            return Trouble.MEMORY if error.values["name"] == "SIGABRT" else Trouble.GPU
        case "engine.bug":
            return Trouble.MEMORY if error.values["error"] == "MemoryError" else None
        case "engine.aborted":
            return Trouble.GPU
        case "engine.evaluation_failed":
            return Trouble.MEMORY if error.values["status"] == _NO_MEMORY else Trouble.GPU
        case _:
            return None


def next_plan(plan: LoadPlan, trouble: Trouble, wanted: LoadSettings) -> tuple[LoadPlan, Notice] | None:
    """Return the next smaller plan, with what to tell the user of it; None where there is none."""
    if trouble is Trouble.GPU:
        is_free = plan.n_gpu_layers and wanted.n_gpu_layers is None
        return (_on_cpu(plan), Notice("engine.gpu_given_up")) if is_free else None
    steps = _gpu_steps(plan, wanted) if trouble is Trouble.WEIGHTS else _steps(plan, wanted)
    return next(steps, None)


def _steps(plan: LoadPlan, wanted: LoadSettings) -> Iterator[tuple[LoadPlan, Notice]]:
    """Yield what may be given up, what is missed least first."""
    half = plan.n_ctx // 2
    if wanted.n_ctx is None and half >= COMFORTABLE_N_CTX:
        yield _with_context(plan, half)
    if wanted.kv_type is None and plan.kv_type is KvType.F16:
        yield (
            replace(plan, kv_type=KvType.Q8_0, flash_attention=True),
            Notice("engine.kv_quantised"),
        )
    if plan.n_ubatch > _SMALLEST_UBATCH:
        smaller = max(_SMALLEST_UBATCH, plan.n_ubatch // 4)
        yield replace(plan, n_ubatch=smaller), Notice("engine.smaller_chunks", {"tokens": smaller})
    yield from _gpu_steps(plan, wanted)
    if wanted.n_ctx is None and half >= SMALLEST_N_CTX:
        yield _with_context(plan, half)


def _gpu_steps(plan: LoadPlan, wanted: LoadSettings) -> Iterator[tuple[LoadPlan, Notice]]:
    """Yield what leaves room on the GPU."""
    portion = -(-plan.n_layers // _PORTIONS)
    if plan.n_gpu_layers == 0:
        return
    if plan.n_cpu_moe and wanted.n_cpu_moe is None and plan.n_cpu_moe < plan.n_layers:
        more = min(plan.n_layers, plan.n_cpu_moe + portion)
        told = Notice("engine.experts_in_ram", {"layers": more, "total": plan.n_layers})
        yield plan.placed(plan.n_gpu_layers, more), told
    if wanted.n_gpu_layers is not None:
        return
    fewer = plan.n_gpu_layers - portion
    if fewer > 0:
        told = Notice("engine.partly_on_gpu", {"layers": fewer, "total": plan.n_layers})
        yield plan.placed(fewer, plan.n_cpu_moe), told
    yield _on_cpu(plan), Notice("engine.not_on_gpu")


def _with_context(plan: LoadPlan, n_ctx: int) -> tuple[LoadPlan, Notice]:
    return replace(plan, n_ctx=n_ctx), Notice("engine.context_reduced", {"n_ctx": n_ctx})


def _on_cpu(plan: LoadPlan) -> LoadPlan:
    return replace(plan.placed(0, 0), n_ubatch=min(plan.n_ubatch, CPU_UBATCH))
