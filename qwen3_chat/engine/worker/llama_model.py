"""A loaded model with its vocabulary, its chat template and the context that it works in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from llama_cpp import llama_cpp as L  # noqa: N812 - short, as everywhere in the worker

from qwen3_chat.demo import DEMO_MODEL_NAME
from qwen3_chat.engine import cpu_cores
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.wire import Device, DeviceKind
from qwen3_chat.engine.worker.abort_flag import AbortFlag
from qwen3_chat.engine.worker.chat_template import ChatTemplate
from qwen3_chat.engine.worker.fingerprint import kv_layout
from qwen3_chat.engine.worker.llama_bindings import list_ggml_devices
from qwen3_chat.engine.worker.llama_context import MAX_OUTPUTS, Context
from qwen3_chat.engine.worker.llama_log import LlamaLog
from qwen3_chat.engine.worker.llama_params import ModelParams
from qwen3_chat.engine.worker.threads import ThreadChoice
from qwen3_chat.engine.worker.vocab import Vocab
from qwen3_chat.errors import Cancelled, EngineError, ModelError
from qwen3_chat.events import EngineEvent, LoadProgressed, Notice
from qwen3_chat.models import gguf
from qwen3_chat.models.gguf import GgufHeader
from qwen3_chat.request import KvType, LoadedModel, LoadSettings

LoadEventSink = Callable[[EngineEvent], None]

_QWEN3_ARCHITECTURES = ("qwen3", "qwen3moe")
_SEQUENCES = 4  # of `Context`; they share the cells
_FLASH_ATTENTION = {
    None: L.LLAMA_FLASH_ATTN_TYPE_AUTO,
    False: L.LLAMA_FLASH_ATTN_TYPE_DISABLED,
    True: L.LLAMA_FLASH_ATTN_TYPE_ENABLED,
}
_READ_BYTES = 4 << 20
_PROGRESS_INTERVAL_S = 0.05


@dataclass(frozen=True, slots=True)
class LlamaModel:
    """What generating and counting need; `pointer` is llama.cpp's and lives as long as the process."""

    pointer: Any
    vocab: Vocab
    template: ChatTemplate
    context: Context
    description: LoadedModel
    threads: ThreadChoice | None
    load_s: float
    kv_bytes_per_token: int


def load_model(
    settings: LoadSettings, plan: LoadPlan, abort: AbortFlag, on_event: LoadEventSink, llama_log: LlamaLog
) -> LlamaModel:
    """Load a model from its file, as planned.

    Raises:
        ModelError: the file is missing, broken or nothing that llama.cpp can load.
        EngineError: the model can't be used with these settings.
        Cancelled: the flag went up.
    """
    started_s = time.perf_counter()
    path = Path(settings.path)
    header = gguf.read_file(path)
    if header.architecture not in _QWEN3_ARCHITECTURES:
        on_event(Notice("engine.not_qwen3", {"name": path.name, "architecture": header.architecture or "?"}))
    gpus = _gpus() if plan.n_gpu_layers else []
    if plan.n_gpu_layers and not gpus:
        plan = plan.with_placement(0, 0)
    if settings.n_threads:
        plan = replace(plan, n_threads=settings.n_threads, n_prompt_threads=settings.n_threads)
    pointer = _load_weights(path, header.architecture, plan, _Progress(on_event, abort), llama_log)
    try:
        vocab = Vocab(L.llama_model_get_vocab(pointer))
        template = ChatTemplate(header.text("tokenizer.chat_template"), vocab.specials)
        context = _make_context(pointer, plan, llama_log)
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
        n_gpu_layers=plan.n_gpu_layers,
        device=" + ".join(gpu.description for gpu in gpus) if gpus else "CPU",
        is_demo=header.name == DEMO_MODEL_NAME,
        n_cpu_moe=plan.n_cpu_moe,
        kv_type=plan.kv_type,
    )
    threads = _thread_choice(settings, plan)
    load_s = time.perf_counter() - started_s
    kv_bytes = header.kv_bytes_per_token
    return LlamaModel(pointer, vocab, template, context, description, threads, load_s, kv_bytes)


def _thread_choice(settings: LoadSettings, plan: LoadPlan) -> ThreadChoice | None:
    """Offer what may be faster than the default; None where the user chose, or where the GPU does it all."""
    if settings.n_threads or (plan.n_gpu_layers == plan.n_layers and not plan.n_cpu_moe):
        return None
    first = plan.n_threads or cpu_cores.default_threads()
    return ThreadChoice(
        cpu_cores.threads_to_try(), first, plan.n_prompt_threads or cpu_cores.default_prompt_threads()
    )


def _count_parameters(pointer: Any, header: GgufHeader) -> int:
    """Count the weights; a part of a split file lists its own tensors only."""
    is_split = header.number("split.count") > 1
    return int(L.llama_model_n_params(pointer)) if is_split else header.parameters


def _gpus() -> list[Device]:
    """List what llama.cpp offloads to: GPUs, or else an integrated one."""
    devices = list_ggml_devices()
    gpus = [device for device in devices if device.kind is DeviceKind.GPU]
    return gpus or [device for device in devices if device.kind is DeviceKind.INTEGRATED_GPU]


def _load_weights(
    path: Path, architecture: str, plan: LoadPlan, progress: _Progress, llama_log: LlamaLog
) -> Any:
    """Load the model; return llama.cpp's pointer to it.

    Raises:
        ModelError: llama.cpp refused the file.
        Cancelled: the flag went up.
    """
    progress.share = 0.5 if plan.n_gpu_layers else 0.9  # on the CPU, little is left to do afterwards
    _fill_page_cache(path, progress)
    if progress.abort.is_set():
        raise Cancelled("engine.load_cancelled")
    progress.start, progress.share = progress.share, 1 - progress.share
    params = ModelParams(plan, architecture, progress)
    pointer = L.llama_model_load_from_file(str(path).encode(errors="surrogateescape"), params.struct)
    if not pointer and progress.abort.is_set():
        raise Cancelled("engine.load_cancelled")
    if not pointer:
        raise ModelError("engine.load_refused", name=path.name, reason=llama_log.first_error())
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


def _make_context(model: Any, plan: LoadPlan, llama_log: LlamaLog) -> Context:
    """Make the context.

    Raises:
        EngineError: llama.cpp could not make it, which mostly means that there is too little memory.
    """
    params = context_params(plan)
    llama_log.clear_errors()
    pointer = L.llama_init_from_model(model, params)
    if not pointer:
        raise EngineError("engine.context_refused", n_ctx=plan.n_ctx, reason=llama_log.first_error())
    return Context(pointer, plan.n_ubatch, kv_layout(params))


def context_params(plan: LoadPlan) -> Any:
    params = L.llama_context_default_params()
    params.n_ctx = plan.n_ctx
    params.n_batch = params.n_ubatch = plan.n_ubatch
    params.n_seq_max, params.kv_unified = _SEQUENCES, True
    params.n_outputs_max = MAX_OUTPUTS
    params.n_threads = plan.n_threads or cpu_cores.default_threads()
    params.n_threads_batch = plan.n_prompt_threads or cpu_cores.default_prompt_threads()
    params.flash_attn_type = _FLASH_ATTENTION[plan.flash_attention]
    if plan.kv_type is KvType.Q8_0:
        params.type_k = params.type_v = L.GGML_TYPE_Q8_0
    if plan.yarn_factor > 1:
        params.rope_scaling_type = L.LLAMA_ROPE_SCALING_TYPE_YARN
        params.rope_freq_scale = 1 / plan.yarn_factor
        params.yarn_orig_ctx = plan.yarn_base_n_ctx
    return params


class _Progress:
    """Reports the progress of one step of several now and then; returns whether to go on."""

    def __init__(self, on_event: LoadEventSink, abort: AbortFlag) -> None:
        self.abort = abort
        self.start, self.share = 0.0, 1.0
        self._on_event = on_event
        self._due_s = 0.0

    def __call__(self, fraction: float) -> bool:
        now_s = time.perf_counter()
        if now_s >= self._due_s or fraction >= 1:
            self._on_event(LoadProgressed(min(1.0, self.start + fraction * self.share)))
            self._due_s = now_s + _PROGRESS_INTERVAL_S
        return not self.abort.is_set()
