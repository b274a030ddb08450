"""The plan by which a model is loaded: the user's settings completed by what suits the machine, and made
smaller where memory runs out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

from qwen3_chat.engine.load_fallback import classify_failure, next_plan
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.wire import Device
from qwen3_chat.errors import EngineError, ModelError
from qwen3_chat.events import Notice
from qwen3_chat.models import gguf
from qwen3_chat.models.catalog import Shape, Weights
from qwen3_chat.models.catalog.quants import BASE_TENSOR_TYPES, weights
from qwen3_chat.models.fit import Machine, Placement, PlacementPlan
from qwen3_chat.models.fit.loading import YARN_BASE_N_CTX, max_supported_n_ctx, plan_load, yarn_factor
from qwen3_chat.models.fit.placement import CPU_UBATCH, GPU_UBATCH
from qwen3_chat.models.gguf import GgufHeader
from qwen3_chat.models.gguf_file_name import split_part_names
from qwen3_chat.request import KvType, LoadSettings
from qwen3_chat.texts.formatting import format_size


def larger_n_ctx(
    tokens: int, n_ctx: int, max_n_ctx: int, bytes_per_token: int, free_bytes: int
) -> int | None:
    """Return the context that so many tokens fit into: a doubling, or what memory or the model still allow.

    `free_bytes` are free beside what the present context takes, which is given back. None where even the
    least is too much.
    """
    room = n_ctx + max(0, free_bytes) // max(1, bytes_per_token)
    limit = min(max_n_ctx, room // _STEP_TOKENS * _STEP_TOKENS)
    wanted = max(1, n_ctx)
    while wanted < tokens or wanted <= n_ctx:
        wanted *= 2
    found = min(wanted, limit)
    return found if found >= tokens and found > n_ctx else None


_STEP_TOKENS = 256  # llama.cpp rounds up to these


DEFAULT_N_CTX = 16_384


def make_plan(
    header: GgufHeader, size_bytes: int, machine: Machine | None, settings: LoadSettings
) -> tuple[LoadPlan, tuple[Notice, ...]]:
    """Complete what the user wants for a file of that header and size, all its parts counted.

    Of an unknown machine, None, enough memory is expected, and a GPU where the user wants one used.

    Returns:
        The plan, with what to tell the user of it.
    """
    shape, n_ctx_train = _shape(header), header.n_ctx_train or DEFAULT_N_CTX
    most = max_n_ctx_from_header(header)
    notices: list[Notice] = []
    if settings.n_ctx and settings.n_ctx > most:
        notices.append(Notice("engine.context_capped", {"wanted": settings.n_ctx, "n_ctx": most}))
        settings = replace(settings, n_ctx=most)
    if shape and machine:
        plan, room_notices = _plan_with_memory(
            shape, _weights(shape, header, size_bytes), machine, settings, n_ctx_train
        )
        notices += room_notices
    else:
        plan = _plan_without_memory(header, machine, settings, n_ctx_train)
    factor = yarn_factor(shape, n_ctx_train, plan.n_ctx)
    if factor > 1:
        notices.append(Notice("engine.yarn", {"n_ctx": plan.n_ctx, "factor": f"{factor:g}"}))
        plan = replace(plan, yarn_factor=factor, yarn_base_n_ctx=YARN_BASE_N_CTX)
    return plan, tuple(notices)


def max_n_ctx_from_header(header: GgufHeader) -> int:
    """Return the longest context that the model of a file may have."""
    return max_supported_n_ctx(_shape(header), header.n_ctx_train or DEFAULT_N_CTX)


def _shape(header: GgufHeader) -> Shape | None:
    parameters = None if header.number("split.count") > 1 else header.parameters
    return Shape.from_header(header.architecture, header.number, parameters)


def _plan_with_memory(
    shape: Shape, file_weights: Weights, machine: Machine, settings: LoadSettings, n_ctx_train: int
) -> tuple[LoadPlan, Iterator[Notice]]:
    """Plan with regard to the memory that is free."""
    fitted, has_room = plan_load(shape, file_weights, machine, settings, n_ctx_train)
    context = fitted.context
    plan = LoadPlan(shape.n_layers, context.n_ctx, context.kv_type, context.n_ubatch)
    plan = plan.with_placement(fitted.n_gpu_layers, fitted.n_cpu_moe)
    return plan, _notices(fitted, has_room, shape, machine, settings, min(DEFAULT_N_CTX, n_ctx_train))


def _plan_without_memory(
    header: GgufHeader, machine: Machine | None, settings: LoadSettings, n_ctx_train: int
) -> LoadPlan:
    """Plan without regard to memory, as the kind of model or the machine is unknown."""
    n_gpu_layers = settings.n_gpu_layers if machine is None or machine.gpus else 0
    if n_gpu_layers is None:
        n_gpu_layers = header.n_layers if machine else 0
    return LoadPlan(
        header.n_layers,
        settings.n_ctx or min(DEFAULT_N_CTX, n_ctx_train),
        settings.kv_type or KvType.F16,
        GPU_UBATCH if n_gpu_layers else CPU_UBATCH,
    ).with_placement(min(n_gpu_layers, header.n_layers), settings.n_cpu_moe or 0)


def _weights(shape: Shape, header: GgufHeader, size_bytes: int) -> Weights:
    """Return what the tensors take: by the rules of their quant, stretched to what the file really holds."""
    known = weights(shape, header.quant if header.quant in BASE_TENSOR_TYPES else "Q4_K_M")
    return known.scaled_to(size_bytes - header.weights_start_bytes)


def _notices(
    fitted: PlacementPlan,
    has_room: bool,
    shape: Shape,
    machine: Machine,
    settings: LoadSettings,
    usual_n_ctx: int,
) -> Iterator[Notice]:
    """Say what is not as one would expect it, unless the user wants it so."""
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


DeviceLister = Callable[[], Awaitable[tuple[Device, ...]]]
MachineProbe = Callable[[DeviceLister], Awaitable[Machine]]
"""Looks at the machine as it is now, with llama.cpp's help."""


class LoadPlanner:
    """Decides how a file is loaded: by a look at the machine, then with less where that is too much."""

    def __init__(self, settings: LoadSettings, probe_machine: MachineProbe | None) -> None:
        self.settings = settings
        self._probe_machine = probe_machine
        self._plan: LoadPlan | None = None

    async def plan(self, list_devices: DeviceLister) -> tuple[LoadPlan, tuple[Notice, ...]]:
        """Return the plan, with what to tell the user of it the first time.

        Raises:
            EngineError: the file can't be read.
        """
        if self._plan:
            return self._plan, ()
        machine = None
        try:
            header, size_bytes = await asyncio.to_thread(_read_header_and_size, Path(self.settings.path))
        except ModelError as error:
            raise EngineError(error.key, **error.values) from error
        if self._probe_machine:
            machine = await self._probe_machine(list_devices)
        self._plan, notices = make_plan(header, size_bytes, machine, self.settings)
        return self._plan, notices

    def fall_back(self, error: EngineError) -> Notice | None:
        """Make do with less after an error, and say what it is; None where that would be of no use."""
        trouble = classify_failure(error)
        if self._plan is None or trouble is None:
            return None
        step = next_plan(self._plan, trouble, self.settings)
        if step is None:
            return None
        self._plan, notice = step
        return notice


def _read_header_and_size(path: Path) -> tuple[GgufHeader, int]:
    """Read the header of a model, and how long all its files are together."""
    header = gguf.read_file(path)
    parts = [path.with_name(name) for name in split_part_names(path.name)]
    return header, sum(part.stat().st_size for part in parts if part.exists())
