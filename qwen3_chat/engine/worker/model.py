"""A model that is loaded, with the context it works in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from llama_cpp import llama_cpp as L  # noqa: N812 - short, as everywhere in the worker

from qwen3_chat import gguf
from qwen3_chat.engine.wire import Device, DeviceKind
from qwen3_chat.engine.worker import cores
from qwen3_chat.engine.worker.abort import AbortFlag
from qwen3_chat.engine.worker.context import Context
from qwen3_chat.engine.worker.context_ladder import ContextPlan, ladder
from qwen3_chat.engine.worker.context_size import choose_n_ctx
from qwen3_chat.engine.worker.ggml import list_devices
from qwen3_chat.engine.worker.llama_log import LlamaLog
from qwen3_chat.engine.worker.origin import cell_layout
from qwen3_chat.engine.worker.render import ChatTemplate
from qwen3_chat.engine.worker.thread_choice import ThreadChoice
from qwen3_chat.engine.worker.vocab import Vocab
from qwen3_chat.errors import Cancelled, EngineError, ModelError
from qwen3_chat.events import EngineEvent, LoadProgressed, Notice
from qwen3_chat.gguf import GgufHeader
from qwen3_chat.request import LoadedModel, LoadSettings

Report = Callable[[EngineEvent], None]

DEMO_NAME = "Qwen3-chat demo"
_QWEN3 = ("qwen3", "qwen3moe")
_SPARE_BYTES = 1 << 30  # for compute buffers and for whatever else runs
_SEQUENCES = 4  # of `Context`; they share the cells
_CPU_CHUNK_TOKENS, _GPU_CHUNK_TOKENS = 128, 512
_READ_BYTES = 4 << 20
_REPORT_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Model:
    """What generating and counting need; `pointer` is llama.cpp's and lives as long as the process."""

    pointer: Any
    vocab: Vocab
    template: ChatTemplate
    context: Context
    description: LoadedModel
    threads: ThreadChoice | None
    load_s: float


def load(settings: LoadSettings, abort: AbortFlag, report: Report, llama_log: LlamaLog) -> Model:
    """Load a model from its file.

    Raises:
        ModelError: the file is missing, broken or nothing that llama.cpp can load.
        EngineError: the model can't be used with these settings.
        Cancelled: the flag went up.
    """
    started_s = time.perf_counter()
    path = Path(settings.path)
    header = gguf.read_file(path)
    if header.architecture not in _QWEN3:
        report(Notice("engine.not_qwen3", {"name": path.name, "architecture": header.architecture or "?"}))
    gpus = _gpus()
    n_gpu_layers = _gpu_layers(settings, header, gpus)
    pointer = _load_weights(path, n_gpu_layers, _Progress(report, abort), llama_log)
    try:
        vocab = Vocab(L.llama_model_get_vocab(pointer))
        template = ChatTemplate(header.text("tokenizer.chat_template"), vocab.specials)
        free_bytes = _free_bytes(gpus if n_gpu_layers else [], path)
        n_ctx, notice = choose_n_ctx(
            settings.n_ctx, header.n_ctx_train, header.kv_bytes_per_token, free_bytes
        )
        context, notices = _largest_context(pointer, n_ctx, settings, bool(n_gpu_layers), abort, llama_log)
    except EngineError:
        L.llama_model_free(pointer)
        raise
    if notice and context.n_ctx == n_ctx:
        report(notice)
    for notice in notices:
        report(notice)
    description = LoadedModel(
        name=header.name or path.stem,
        quant=header.quant,
        path=settings.path,
        architecture=header.architecture,
        parameters=_count_parameters(pointer, header),
        size_bytes=L.llama_model_size(pointer),
        n_ctx=context.n_ctx,
        n_ctx_train=header.n_ctx_train,
        n_layers=header.n_layers,
        n_gpu_layers=n_gpu_layers,
        device=" + ".join(gpu.description for gpu in gpus) if n_gpu_layers else "CPU",
        is_demo=header.name == DEMO_NAME,
    )
    threads = _thread_choice(settings, header, n_gpu_layers)
    return Model(pointer, vocab, template, context, description, threads, time.perf_counter() - started_s)


def _thread_choice(settings: LoadSettings, header: GgufHeader, n_gpu_layers: int) -> ThreadChoice | None:
    """Offer what may be faster than the default; None where the user chose, or where the GPU does it all."""
    if settings.n_threads or n_gpu_layers >= header.n_layers:
        return None
    return ThreadChoice(cores.threads_to_try(), cores.default_threads())


def _count_parameters(pointer: Any, header: GgufHeader) -> int:
    """Count the weights; a part of a split file lists its own tensors only."""
    is_split = header.number("split.count") > 1
    return int(L.llama_model_n_params(pointer)) if is_split else header.parameters


def _gpus() -> list[Device]:
    """List what llama.cpp offloads to: GPUs, or else an integrated one."""
    devices = list_devices()
    gpus = [device for device in devices if device.kind is DeviceKind.GPU]
    return gpus or [device for device in devices if device.kind is DeviceKind.INTEGRATED_GPU]


def _gpu_layers(settings: LoadSettings, header: GgufHeader, gpus: list[Device]) -> int:
    """Choose how many layers go to the GPU: all where there is one, unless the settings say otherwise."""
    if not gpus:
        return 0
    wanted = settings.n_gpu_layers
    return header.n_layers if wanted is None or wanted < 0 else min(wanted, header.n_layers)


def _load_weights(path: Path, n_gpu_layers: int, progress: _Progress, llama_log: LlamaLog) -> Any:
    """Load the model; return llama.cpp's pointer to it.

    Raises:
        ModelError: llama.cpp refused the file.
        Cancelled: the flag went up.
    """
    progress.share = 0.5 if n_gpu_layers else 0.9  # on the CPU, little is left to do afterwards
    _fill_page_cache(path, progress)
    if progress.abort.is_up():
        raise Cancelled("engine.load_cancelled")
    progress.start, progress.share = progress.share, 1 - progress.share
    params = L.llama_model_default_params()
    # llama.cpp counts the output as one more layer.
    params.n_gpu_layers = n_gpu_layers + 1 if n_gpu_layers else 0
    params.progress_callback = L.llama_progress_callback(lambda fraction, _: progress(fraction))
    pointer = L.llama_model_load_from_file(str(path).encode(errors="surrogateescape"), params)
    if not pointer and progress.abort.is_up():
        raise Cancelled("engine.load_cancelled")
    if not pointer:
        raise ModelError("engine.load_refused", name=path.name, reason=llama_log.reason())
    return pointer


def _fill_page_cache(path: Path, progress: _Progress) -> None:
    """Read the file once, with progress: llama.cpp maps it and would block without any.

    A file that doesn't fit into memory is left alone.
    """
    size_bytes = path.stat().st_size
    if size_bytes > psutil.virtual_memory().available:
        return
    buffer = bytearray(_READ_BYTES)
    done_bytes = 0
    with path.open("rb", buffering=0) as file:
        while (read_bytes := file.readinto(buffer)) and progress(done_bytes / size_bytes):
            done_bytes += read_bytes


def _largest_context(
    model: Any, n_ctx: int, settings: LoadSettings, uses_gpu: bool, abort: AbortFlag, llama_log: LlamaLog
) -> tuple[Context, tuple[Notice, ...]]:
    """Make the first context that there is memory for, with what to tell of it.

    Raises:
        EngineError: not even the smallest could be made; `Cancelled` where the flag went up.
    """
    first = ContextPlan(n_ctx, _GPU_CHUNK_TOKENS if uses_gpu else _CPU_CHUNK_TOKENS)
    reason = ""
    for plan, notices in ladder(first, n_ctx_is_wanted=settings.n_ctx is not None):
        if abort.is_up():
            raise Cancelled("engine.load_cancelled")
        llama_log.forget_errors()
        params = _context_params(plan, settings, uses_gpu)
        if pointer := L.llama_init_from_model(model, params):
            return Context(pointer, plan.chunk_tokens, cell_layout(params)), notices
        reason = reason or llama_log.reason()
    raise EngineError("engine.context_refused", n_ctx=n_ctx, reason=reason)


def _context_params(plan: ContextPlan, settings: LoadSettings, uses_gpu: bool) -> Any:
    params = L.llama_context_default_params()
    params.n_ctx = plan.n_ctx
    params.n_batch = params.n_ubatch = plan.chunk_tokens
    params.n_seq_max, params.kv_unified = _SEQUENCES, True
    params.n_outputs_max = _SEQUENCES  # one is enough to sample, but llama.cpp wants one for each sequence
    params.n_threads = params.n_threads_batch = settings.n_threads or cores.default_threads()
    # On the CPU it halves the speed of decoding at a few thousand tokens.
    params.flash_attn_type = L.LLAMA_FLASH_ATTN_TYPE_AUTO if uses_gpu else L.LLAMA_FLASH_ATTN_TYPE_DISABLED
    if plan.has_quantised_kv:
        params.type_k = params.type_v = L.GGML_TYPE_Q8_0
        params.flash_attn_type = L.LLAMA_FLASH_ATTN_TYPE_ENABLED  # there is no other way to read it
    return params


def _free_bytes(gpus: list[Device], path: Path) -> int:
    """Estimate what is left for the context; a mapped file needs its pages to stay in memory."""
    if gpus:
        return (
            sum(gpu.free_bytes for gpu in list_devices() if gpu.name in {g.name for g in gpus}) - _SPARE_BYTES
        )
    return psutil.virtual_memory().available - path.stat().st_size - _SPARE_BYTES


class _Progress:
    """Reports the progress of one step of several now and then; returns whether to go on."""

    def __init__(self, report: Report, abort: AbortFlag) -> None:
        self.abort = abort
        self.start, self.share = 0.0, 1.0
        self._report = report
        self._due_s = 0.0

    def __call__(self, fraction: float) -> bool:
        now_s = time.perf_counter()
        if now_s >= self._due_s or fraction >= 1:
            self._report(LoadProgressed(min(1.0, self.start + fraction * self.share)))
            self._due_s = now_s + _REPORT_EVERY_S
        return not self.abort.is_up()
