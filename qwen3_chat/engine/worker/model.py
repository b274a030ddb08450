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
from qwen3_chat.engine.worker.ggml import list_devices
from qwen3_chat.engine.worker.llama_log import LlamaLog
from qwen3_chat.engine.worker.render import ChatTemplate
from qwen3_chat.engine.worker.vocab import Vocab
from qwen3_chat.errors import Cancelled, EngineError, ModelError
from qwen3_chat.events import EngineEvent, LoadProgressed, Notice
from qwen3_chat.gguf import GgufHeader
from qwen3_chat.request import LoadedModel, LoadSettings

Report = Callable[[EngineEvent], None]

DEMO_NAME = "Qwen3-chat demo"
_QWEN3 = ("qwen3", "qwen3moe")
_DEFAULT_N_CTX = 16_384
_SMALLEST_N_CTX = 2_048
_SPARE_BYTES = 1 << 30  # for compute buffers and for whatever else runs
_SEQUENCES = 4  # the live chat, and room for what is evaluated ahead or kept; they share the cells
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
    gpus = [d for d in list_devices() if d.kind in (DeviceKind.GPU, DeviceKind.INTEGRATED_GPU)]
    n_gpu_layers = _gpu_layers(settings, header, gpus)
    progress = _Progress(report, abort)
    cached_share = 0.5 if n_gpu_layers else 0.9  # of the progress; on the CPU, little is left to do then
    _fill_page_cache(path, lambda fraction: progress(fraction * cached_share))
    llama_log.forget_errors()
    pointer = _load_weights(
        path, n_gpu_layers, lambda done: progress(cached_share + done * (1 - cached_share))
    )
    if abort.is_up():
        raise Cancelled("engine.load_cancelled")
    if not pointer:
        raise ModelError("engine.load_refused", name=path.name, reason=llama_log.reason())
    try:
        n_ctx = _choose_n_ctx(settings, header, _free_bytes(gpus if n_gpu_layers else [], path), report)
        context = _make_context(pointer, n_ctx, settings, bool(n_gpu_layers), llama_log)
        vocab = Vocab(L.llama_model_get_vocab(pointer))
        template = ChatTemplate(header.text("tokenizer.chat_template"), vocab.specials)
    except EngineError:
        L.llama_model_free(pointer)
        raise
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
    return Model(pointer, vocab, template, context, description, time.perf_counter() - started_s)


def _count_parameters(pointer: Any, header: GgufHeader) -> int:
    """Count the weights; a part of a split file lists its own tensors only."""
    is_split = header.number("split.count") > 1
    return int(L.llama_model_n_params(pointer)) if is_split else header.parameters


def _gpu_layers(settings: LoadSettings, header: GgufHeader, gpus: list[Device]) -> int:
    """Choose how many layers go to the GPU: all where there is one, unless the settings say otherwise."""
    if not gpus:
        return 0
    wanted = settings.n_gpu_layers
    return header.n_layers if wanted is None or wanted < 0 else min(wanted, header.n_layers)


def _fill_page_cache(path: Path, progress: Callable[[float], bool]) -> None:
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


def _load_weights(path: Path, n_gpu_layers: int, progress: Callable[[float], bool]) -> Any:
    params = L.llama_model_default_params()
    # llama.cpp counts the output as one more layer.
    params.n_gpu_layers = n_gpu_layers + 1 if n_gpu_layers else 0
    callback = L.llama_progress_callback(lambda fraction, _: progress(fraction))
    params.progress_callback = callback
    return L.llama_model_load_from_file(str(path).encode(errors="surrogateescape"), params)


def _make_context(
    model: Any, n_ctx: int, settings: LoadSettings, uses_gpu: bool, llama_log: LlamaLog
) -> Context:
    chunk_tokens = _GPU_CHUNK_TOKENS if uses_gpu else _CPU_CHUNK_TOKENS
    params = L.llama_context_default_params()
    params.n_ctx = n_ctx
    params.n_batch = params.n_ubatch = chunk_tokens
    params.n_seq_max, params.kv_unified = _SEQUENCES, True
    params.n_outputs_max = _SEQUENCES  # one is enough to sample, but llama.cpp wants one for each sequence
    params.n_threads = params.n_threads_batch = settings.n_threads or cores.default_threads()
    # On the CPU it halves the speed of decoding at a few thousand tokens.
    params.flash_attn_type = L.LLAMA_FLASH_ATTN_TYPE_AUTO if uses_gpu else L.LLAMA_FLASH_ATTN_TYPE_DISABLED
    pointer = L.llama_init_from_model(model, params)
    if not pointer:
        raise EngineError("engine.context_refused", n_ctx=n_ctx, reason=llama_log.reason())
    return Context(pointer, chunk_tokens)


def _choose_n_ctx(settings: LoadSettings, header: GgufHeader, free_bytes: int, report: Report) -> int:
    """Choose the context: as asked for, else 16K or what memory holds; never more than the model knows."""
    most = header.n_ctx_train or _DEFAULT_N_CTX
    if settings.n_ctx:
        if settings.n_ctx > most:
            report(Notice("engine.context_capped", {"wanted": settings.n_ctx, "n_ctx": most}))
        return min(settings.n_ctx, most)
    n_ctx = min(most, _DEFAULT_N_CTX)
    while n_ctx > _SMALLEST_N_CTX and n_ctx * header.kv_bytes_per_token > free_bytes:
        n_ctx //= 2
    if n_ctx < min(most, _DEFAULT_N_CTX):
        report(Notice("engine.context_reduced", {"n_ctx": n_ctx}))
    return n_ctx


def _free_bytes(gpus: list[Device], path: Path) -> int:
    """Estimate what is left for the context; a mapped file needs its pages to stay in memory."""
    if gpus:
        return (
            sum(gpu.free_bytes for gpu in list_devices() if gpu.name in {g.name for g in gpus}) - _SPARE_BYTES
        )
    return psutil.virtual_memory().available - path.stat().st_size - _SPARE_BYTES


class _Progress:
    """Reports progress now and then; returns whether to go on."""

    def __init__(self, report: Report, abort: AbortFlag) -> None:
        self._report = report
        self._abort = abort
        self._due_s = 0.0

    def __call__(self, fraction: float) -> bool:
        now_s = time.perf_counter()
        if now_s >= self._due_s or fraction >= 1:
            self._report(LoadProgressed(min(1.0, fraction)))
            self._due_s = now_s + _REPORT_EVERY_S
        return not self._abort.is_up()
