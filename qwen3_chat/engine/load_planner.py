"""The planning of a load: the user's settings completed for the machine, and reduced if memory runs out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from qwen3_chat.engine.load_fallback import classify_failure, next_plan
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.wire import DeviceLister
from qwen3_chat.errors import EngineError, ModelError
from qwen3_chat.events import Notice
from qwen3_chat.models import gguf
from qwen3_chat.models.catalog import Shape, Weights
from qwen3_chat.models.catalog.quants import scaled_weights
from qwen3_chat.models.fit import Machine, Placement, PlacementPlan
from qwen3_chat.models.fit.assessment import TARGET_N_CTX
from qwen3_chat.models.fit.context_memory import N_CTX_STEP
from qwen3_chat.models.fit.loading import YARN_BASE_N_CTX, max_supported_n_ctx, plan_load, yarn_factor
from qwen3_chat.models.fit.placement import CPU_UBATCH, GPU_UBATCH
from qwen3_chat.models.gguf import GgufHeader
from qwen3_chat.models.gguf_file_name import split_part_names
from qwen3_chat.record_copies import replace
from qwen3_chat.request import KvType, LoadSettings
from qwen3_chat.texts.formatting import format_size

MachineProbe = Callable[[DeviceLister], Awaitable[Machine]]
"""A function that probes the present state of the machine, with llama.cpp's help."""


class LoadPlanner:
    """The planner of a file's loads: first by the state of the machine, then smaller after each failure."""

    def __init__(self, settings: LoadSettings, probe_machine: MachineProbe | None) -> None:
        self.settings = settings
        self._probe_machine = probe_machine
        self._plan: LoadPlan | None = None

    async def plan(self, list_devices: DeviceLister) -> tuple[LoadPlan, tuple[Notice, ...]]:
        """Return the plan, the first time with notices for the user.

        Raises:
            EngineError: the file can't be read.
        """
        if self._plan:
            return self._plan, ()
        machine = None
        try:
            header, size_bytes = await asyncio.to_thread(read_header_and_size, Path(self.settings.path))
        except ModelError as error:
            raise EngineError(error.code, **error.values) from error
        if self._probe_machine:
            machine = await self._probe_machine(list_devices)
        make = _plan_with_draft if machine and self.settings.draft else make_plan
        plan, notices = await asyncio.to_thread(make, header, size_bytes, machine, self.settings)
        self._plan = plan
        if self.settings.missing_draft:
            notices = (*notices, Notice("engine.draft_missing", {"name": self.settings.missing_draft}))
        return plan, notices

    def fall_back(self, error: EngineError) -> Notice | None:
        """Reduce the plan after an error and return a notice of it; None if that would be useless."""
        failure = classify_failure(error)
        if self._plan is None or failure is None:
            return None
        fallback = next_plan(self._plan, failure, self.settings)
        if fallback is None:
            return None
        self._plan, notice = fallback
        return notice


def read_header_and_size(path: Path) -> tuple[GgufHeader, int]:
    """Read the header of a model and the size of all its files together.

    A part that is missing is left to llama.cpp, which refuses the model.
    """
    others = [path.with_name(name) for name in split_part_names(path.name) if name != path.name]
    parts = [path, *(part for part in others if part.exists())]
    header = gguf.read_parts(parts)
    return header, sum(part.stat().st_size for part in parts)


def _plan_with_draft(
    header: GgufHeader, size_bytes: int, machine: Machine | None, settings: LoadSettings
) -> tuple[LoadPlan, tuple[Notice, ...]]:
    from qwen3_chat.engine.draft_planning import plan_with_draft  # here: few loads have one

    assert machine is not None
    return plan_with_draft(header, size_bytes, machine, settings)


def make_plan(
    header: GgufHeader, size_bytes: int, machine: Machine | None, settings: LoadSettings
) -> tuple[LoadPlan, tuple[Notice, ...]]:
    """Complete the user's settings for a file with that header and size, all its parts counted.

    If the machine is unknown (None), it is assumed to have enough memory, and a GPU if the user asks for one.

    Returns:
        The plan, with notices for the user.
    """
    shape, n_ctx_train = header.shape, header.n_ctx_train or TARGET_N_CTX
    max_n_ctx = max_n_ctx_from_header(header)
    notices: list[Notice] = []
    if settings.n_ctx and settings.n_ctx > max_n_ctx:
        notices.append(Notice("engine.context_capped", {"wanted": settings.n_ctx, "n_ctx": max_n_ctx}))
        settings = replace(settings, n_ctx=max_n_ctx)
    if shape and machine:
        plan, memory_notices = _plan_with_memory(
            shape, file_weights(shape, header, size_bytes), machine, settings, n_ctx_train
        )
        notices += memory_notices
    else:
        plan = _plan_without_memory(header, machine, settings, n_ctx_train)
    factor = yarn_factor(shape, n_ctx_train, plan.n_ctx)
    if factor > 1:
        notices.append(Notice("engine.yarn", {"n_ctx": plan.n_ctx, "factor": f"{factor:g}"}))
        plan = replace(plan, yarn_factor=factor, yarn_base_n_ctx=YARN_BASE_N_CTX)
    return plan, tuple(notices)


def max_n_ctx_from_header(header: GgufHeader) -> int:
    """Return the longest context that the model of a file supports."""
    return max_supported_n_ctx(header.shape, header.n_ctx_train or TARGET_N_CTX)


def _plan_with_memory(
    shape: Shape, file_weights: Weights, machine: Machine, settings: LoadSettings, n_ctx_train: int
) -> tuple[LoadPlan, Iterator[Notice]]:
    """Make a plan that fits into the free memory."""
    fitted, has_room = plan_load(shape, file_weights, machine, settings, n_ctx_train)
    context = fitted.context
    plan = LoadPlan(shape.n_layers, context.n_ctx, context.kv_type, context.n_ubatch)
    plan = plan.with_placement(fitted.n_gpu_layers, fitted.n_cpu_moe)
    return plan, _notices(fitted, has_room, shape, machine, settings, min(TARGET_N_CTX, n_ctx_train))


def _plan_without_memory(
    header: GgufHeader, machine: Machine | None, settings: LoadSettings, n_ctx_train: int
) -> LoadPlan:
    """Make a plan regardless of memory, because the kind of model or the machine is unknown."""
    n_gpu_layers = settings.n_gpu_layers if machine is None or machine.gpus else 0
    if n_gpu_layers is None:
        n_gpu_layers = header.n_layers if machine else 0
    return LoadPlan(
        header.n_layers,
        settings.n_ctx or min(TARGET_N_CTX, n_ctx_train),
        settings.kv_type or KvType.F16,
        GPU_UBATCH if n_gpu_layers else CPU_UBATCH,
    ).with_placement(min(n_gpu_layers, header.n_layers), settings.n_cpu_moe or 0)


def file_weights(shape: Shape, header: GgufHeader, size_bytes: int) -> Weights:
    """Return the sizes of the tensors: by the file's table, else by the rules of their quant."""
    return header.weights or scaled_weights(shape, header.quant, size_bytes - header.weights_start_bytes)


def _notices(
    fitted: PlacementPlan,
    has_room: bool,
    shape: Shape,
    machine: Machine,
    settings: LoadSettings,
    usual_n_ctx: int,
) -> Iterator[Notice]:
    """Yield notices of unexpected parts of the plan, unless the user asked for them."""
    if not has_room:
        need, free = format_size(fitted.need_bytes), format_size(machine.usable_bytes)
        yield Notice("engine.memory_short", {"need": need, "free": free})
    if machine.gpus and settings.n_gpu_layers is None and settings.n_cpu_moe is None:
        total = shape.n_layers
        match fitted.placement:
            case Placement.EXPERTS_IN_RAM:
                yield Notice("engine.experts_in_ram", {"layers": fitted.n_cpu_moe, "total": total})
            case Placement.PARTIAL:
                yield Notice("engine.partly_on_gpu", {"layers": fitted.n_gpu_layers, "total": total})
            case Placement.CPU:
                yield Notice("engine.not_on_gpu")
    if settings.n_ctx is None and fitted.context.n_ctx < usual_n_ctx:
        yield Notice("engine.context_reduced", {"n_ctx": fitted.context.n_ctx})
    if settings.kv_type is None and fitted.context.kv_type is not KvType.F16 and not fitted.n_gpu_layers:
        yield Notice("engine.kv_quantised")


def larger_n_ctx(
    tokens: int, n_ctx: int, max_n_ctx: int, bytes_per_token: int, free_bytes: int
) -> int | None:
    """Return a context with room for that many tokens: doubled, or as large as memory and model allow.

    `free_bytes` are free beside the memory of the present context, which is released. None is returned if not
    even the least is possible.
    """
    max_fitting = n_ctx + max(0, free_bytes) // max(1, bytes_per_token)
    limit = min(max_n_ctx, max_fitting // N_CTX_STEP * N_CTX_STEP)
    doubled = max(1, n_ctx)
    while doubled < tokens or doubled <= n_ctx:
        doubled *= 2
    larger = min(doubled, limit)
    return larger if larger >= tokens and larger > n_ctx else None
