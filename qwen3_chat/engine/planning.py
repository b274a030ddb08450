"""What the user wants of a load, completed by what suits the machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from qwen3_chat.catalog import Shape, Weights
from qwen3_chat.catalog.quants import QUANTS, weights
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.events import Notice
from qwen3_chat.fit import Machine, Placement, Plan
from qwen3_chat.fit.context_limit import YARN_BASE_N_CTX, most_n_ctx, yarn_factor
from qwen3_chat.fit.loading import plan_load
from qwen3_chat.fit.placement import CPU_UBATCH, GPU_UBATCH
from qwen3_chat.gguf import GgufHeader
from qwen3_chat.request import KvType, LoadSettings
from qwen3_chat.sizes import write_size

DEFAULT_N_CTX = 16_384


def make_plan(
    header: GgufHeader, size_bytes: int, machine: Machine | None, wanted: LoadSettings
) -> tuple[LoadPlan, tuple[Notice, ...]]:
    """Complete what the user wants for a file of that header and size, all its parts counted.

    Of an unknown machine, None, enough memory is expected, and a GPU where the user wants one used.

    Returns:
        The plan, with what to tell the user of it.
    """
    shape, n_ctx_train = _shape(header), header.n_ctx_train or DEFAULT_N_CTX
    most = longest_n_ctx(header)
    notices: list[Notice] = []
    if wanted.n_ctx and wanted.n_ctx > most:
        notices.append(Notice("engine.context_capped", {"wanted": wanted.n_ctx, "n_ctx": most}))
        wanted = replace(wanted, n_ctx=most)
    if shape and machine:
        plan, room_notices = _fitted(shape, _weights(shape, header, size_bytes), machine, wanted, n_ctx_train)
        notices += room_notices
    else:
        plan = _unfitted(header, machine, wanted, n_ctx_train)
    factor = yarn_factor(shape, n_ctx_train, plan.n_ctx)
    if factor > 1:
        notices.append(Notice("engine.yarn", {"n_ctx": plan.n_ctx, "factor": f"{factor:g}"}))
        plan = replace(plan, yarn_factor=factor, yarn_base_n_ctx=YARN_BASE_N_CTX)
    return plan, tuple(notices)


def longest_n_ctx(header: GgufHeader) -> int:
    """Return the longest context that the model of a file may have."""
    return most_n_ctx(_shape(header), header.n_ctx_train or DEFAULT_N_CTX)


def _shape(header: GgufHeader) -> Shape | None:
    parameters = None if header.number("split.count") > 1 else header.parameters
    return Shape.from_header(header.architecture, header.number, parameters)


def _fitted(
    shape: Shape, file_weights: Weights, machine: Machine, wanted: LoadSettings, n_ctx_train: int
) -> tuple[LoadPlan, Iterator[Notice]]:
    """Plan with regard to the memory that is free."""
    fitted, has_room = plan_load(shape, file_weights, machine, wanted, n_ctx_train)
    context = fitted.context
    plan = LoadPlan(shape.n_layers, context.n_ctx, context.kv_type, context.n_ubatch)
    plan = plan.placed(fitted.n_gpu_layers, fitted.n_cpu_moe)
    return plan, _notices(fitted, has_room, shape, machine, wanted, min(DEFAULT_N_CTX, n_ctx_train))


def _unfitted(
    header: GgufHeader, machine: Machine | None, wanted: LoadSettings, n_ctx_train: int
) -> LoadPlan:
    """Plan without regard to memory, as the kind of model or the machine is unknown."""
    n_gpu_layers = wanted.n_gpu_layers if machine is None or machine.gpus else 0
    if n_gpu_layers is None:
        n_gpu_layers = header.n_layers if machine else 0
    return LoadPlan(
        header.n_layers,
        wanted.n_ctx or min(DEFAULT_N_CTX, n_ctx_train),
        wanted.kv_type or KvType.F16,
        GPU_UBATCH if n_gpu_layers else CPU_UBATCH,
    ).placed(min(n_gpu_layers, header.n_layers), wanted.n_cpu_moe or 0)


def _weights(shape: Shape, header: GgufHeader, size_bytes: int) -> Weights:
    """Return what the tensors take: by the rules of their quant, stretched to what the file really holds."""
    known = weights(shape, header.quant if header.quant in QUANTS else "Q4_K_M")
    return known.scaled_to(size_bytes - header.weights_start_bytes)


def _notices(
    fitted: Plan, has_room: bool, shape: Shape, machine: Machine, wanted: LoadSettings, usual_n_ctx: int
) -> Iterator[Notice]:
    """Say what is not as one would expect it, unless the user wants it so."""
    if not has_room:
        need, free = write_size(fitted.need_bytes), write_size(machine.usable_bytes)
        yield Notice("engine.memory_short", {"need": need, "free": free})
    if machine.gpus and wanted.n_gpu_layers is None and wanted.n_cpu_moe is None:
        total = shape.n_layers
        match fitted.placement:
            case Placement.EXPERTS_IN_RAM:
                yield Notice("engine.experts_in_ram", {"layers": fitted.n_cpu_moe, "total": total})
            case Placement.PARTIAL:
                yield Notice("engine.partly_on_gpu", {"layers": fitted.n_gpu_layers, "total": total})
            case Placement.CPU:
                yield Notice("engine.not_on_gpu")
    if wanted.n_ctx is None and fitted.context.n_ctx < usual_n_ctx:
        yield Notice("engine.context_reduced", {"n_ctx": fitted.context.n_ctx})
    if wanted.kv_type is None and fitted.context.kv_type is not KvType.F16 and not fitted.n_gpu_layers:
        yield Notice("engine.kv_quantised")
