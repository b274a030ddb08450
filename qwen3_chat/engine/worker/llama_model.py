"""A loaded model with its vocabulary, its chat template and the context that it works in."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from qwen3_chat.demo import DEMO_MODEL_NAME
from qwen3_chat.engine.cpu_cores import default_prompt_threads, default_threads, threads_to_try
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.wire import Device, DeviceKind
from qwen3_chat.engine.worker.abort_flag import AbortFlag
from qwen3_chat.engine.worker.adapters import add_adapters, check_adapters
from qwen3_chat.engine.worker.chat_template import ChatTemplate
from qwen3_chat.engine.worker.llama_context import MAX_OUTPUTS, Context
from qwen3_chat.engine.worker.llama_log import LlamaLog
from qwen3_chat.engine.worker.native_library import NativeLibrary, NativeModel
from qwen3_chat.engine.worker.template_process import TemplateRenderer
from qwen3_chat.engine.worker.threads import ThreadChoice
from qwen3_chat.engine.worker.vocab import Vocab
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import Cancelled, EngineError, ModelError
from qwen3_chat.events import EngineEvent, LoadProgressed, Notice
from qwen3_chat.models.displayed_names import displayed_name
from qwen3_chat.models.gguf import GgufHeader, read_file
from qwen3_chat.models.gguf_names import QWEN3_ARCHITECTURES, VISION_ARCHITECTURES
from qwen3_chat.models.template_facts import read_template
from qwen3_chat.record_copies import replace
from qwen3_chat.request import N_SEQUENCES, LoadedModel, LoadSettings

if TYPE_CHECKING:
    from qwen3_chat.engine.worker.draft_model import DraftModel

LoadEventSink = Callable[[EngineEvent], None]
"""The function that gets the progress and the notices of a load."""

_READ_BYTES = 4 << 20
_PROGRESS_INTERVAL_S = 0.05


@dataclass(frozen=True, slots=True)
class LlamaModel:
    """A loaded model; `native` is that of the library, of which this `build` runs, as long as the process."""

    native: NativeModel
    build: str
    vocab: Vocab
    template: ChatTemplate
    context: Context
    description: LoadedModel
    threads: ThreadChoice | None
    load_s: float
    kv_bytes_per_token: int
    draft: DraftModel | None = None


def load_model(
    library: NativeLibrary,
    settings: LoadSettings,
    plan: LoadPlan,
    abort: AbortFlag,
    on_event: LoadEventSink,
    llama_log: LlamaLog,
    renderer: TemplateRenderer,
) -> LlamaModel:
    """Load a model from its file, as planned; `renderer` is for its chat template alone.

    Raises:
        ModelError: a file is missing, broken or nothing that llama.cpp can load.
        EngineError: the model can't be used with these settings.
        Cancelled: the flag was set.
    """
    started_s = time.perf_counter()
    path = Path(settings.path)
    header = read_file(path)
    if header.architecture not in QWEN3_ARCHITECTURES:
        on_event(Notice("engine.not_qwen3", {"name": path.name, "architecture": header.architecture or "?"}))
    elif header.architecture in VISION_ARCHITECTURES:
        on_event(Notice("engine.text_only", {"name": path.name}))
    check_adapters(settings.adapters, header, path.name)
    gpus = _gpus(library) if plan.n_gpu_layers else []
    if plan.n_gpu_layers and not gpus:
        plan = plan.with_placement(0, 0)
    if settings.n_threads:
        plan = replace(plan, n_threads=settings.n_threads, n_prompt_threads=settings.n_threads)
    progress = _LoadProgress(on_event, abort)
    native = _load_weights(library, path, header.architecture, plan, progress, llama_log)
    try:
        add_adapters(native, settings.adapters, library.build, llama_log)
        vocab = Vocab(native.vocab)
        source = header.text("tokenizer.chat_template")
        template = ChatTemplate(
            source, vocab.specials, renderer, abort.is_set, named_tokens=vocab.named_tokens
        )
        context = _make_context(native, plan, llama_log)
    except EngineError:
        native.free()
        raise
    draft = _load_draft(library, settings, header, vocab, plan, on_event)
    return LlamaModel(
        native=native,
        build=library.build,
        vocab=vocab,
        template=template,
        context=context,
        description=replace(
            _describe(library, native, header, settings, plan, context.n_ctx, gpus),
            draft=draft.name if draft else "",
            draft_parameters=draft.n_parameters if draft else 0,
        ),
        threads=_thread_choice(settings, plan),
        load_s=time.perf_counter() - started_s,
        kv_bytes_per_token=header.kv_bytes_per_token,
        draft=draft,
    )


def _load_draft(
    library: NativeLibrary,
    settings: LoadSettings,
    header: GgufHeader,
    vocab: Vocab,
    plan: LoadPlan,
    on_event: LoadEventSink,
) -> DraftModel | None:
    """Load the draft model where one is wanted; whatever is wrong with it is a notice."""
    if not settings.draft or (settings.drafts_on_gpu_only and not plan.drafts_by_itself):
        return None
    from qwen3_chat.engine.worker.draft_model import load_draft_model  # here: few want it, and it needs numpy

    draft = load_draft_model(library, Path(settings.draft), header, vocab, plan)
    if isinstance(draft, tuple):
        for notice in draft:
            on_event(notice)
        return None
    return draft


def _gpus(library: NativeLibrary) -> list[Device]:
    """Return the devices that llama.cpp offloads to: GPUs, or else an integrated one."""
    devices = library.list_devices()
    gpus = [device for device in devices if device.kind is DeviceKind.GPU]
    return gpus or [device for device in devices if device.kind is DeviceKind.INTEGRATED_GPU]


def _load_weights(
    library: NativeLibrary,
    path: Path,
    architecture: str,
    plan: LoadPlan,
    progress: _LoadProgress,
    llama_log: LlamaLog,
) -> NativeModel:
    """Load the weights.

    Raises:
        ModelError: llama.cpp refused the file.
        Cancelled: the flag was set.
    """
    progress.share = 0.5 if plan.n_gpu_layers else 0.9  # on the CPU, little is left to do afterwards
    _fill_page_cache(path, progress)
    if progress.abort.is_set():
        raise Cancelled(ErrorCode.LOAD_CANCELLED)
    progress.start, progress.share = progress.share, 1 - progress.share
    model = library.load_model(path, plan, architecture, progress)
    if model is None and progress.abort.is_set():
        raise Cancelled(ErrorCode.LOAD_CANCELLED)
    if model is None:
        raise ModelError(ErrorCode.MODEL_NOT_LOADABLE, name=path.name, reason=llama_log.first_error())
    return model


def _fill_page_cache(path: Path, progress: _LoadProgress) -> None:
    """Read the file once, with progress: llama.cpp maps it into memory and would block without any.

    A file that doesn't fit into memory is not read.
    """
    size_bytes = path.stat().st_size
    if size_bytes > psutil.virtual_memory().available:
        return
    buffer = bytearray(_READ_BYTES)
    done_bytes = 0
    with path.open("rb", buffering=0) as file:
        while (read_bytes := file.readinto(buffer)) and progress(done_bytes / size_bytes):
            done_bytes += read_bytes


def _make_context(model: NativeModel, plan: LoadPlan, llama_log: LlamaLog) -> Context:
    """Make the context.

    Raises:
        EngineError: llama.cpp could not make it, which mostly means that there is too little memory.
    """
    llama_log.clear_errors()
    context = model.make_context(plan, N_SEQUENCES, MAX_OUTPUTS)
    if context is None:
        raise EngineError(ErrorCode.CONTEXT_NOT_CREATED, n_ctx=plan.n_ctx, reason=llama_log.first_error())
    return Context(context, plan.n_ubatch, keeps_states=model.keeps_states)


def _describe(
    library: NativeLibrary,
    model: NativeModel,
    header: GgufHeader,
    settings: LoadSettings,
    plan: LoadPlan,
    n_ctx: int,
    gpus: Sequence[Device],
) -> LoadedModel:
    """Return the description of a loaded model for the client."""
    template = read_template(header.text("tokenizer.chat_template"))
    parameters = _count_parameters(model, header)
    return LoadedModel(
        name=displayed_name(header.name, Path(settings.path), parameters),
        quant=header.quant,
        path=settings.path,
        architecture=header.architecture,
        parameters=parameters,
        size_bytes=model.size_bytes,
        n_ctx=n_ctx,
        n_ctx_train=header.n_ctx_train,
        n_layers=header.n_layers,
        n_gpu_layers=plan.n_gpu_layers,
        device=" + ".join(gpu.description for gpu in gpus) if gpus else "CPU",
        is_demo=header.name == DEMO_MODEL_NAME,
        n_cpu_moe=plan.n_cpu_moe,
        kv_type=plan.kv_type,
        thinking=template.thinking,
        has_soft_switch=template.has_soft_switch,
        library=library.name,
        adapters=tuple(adapter.label for adapter in settings.adapters),
    )


def _count_parameters(model: NativeModel, header: GgufHeader) -> int:
    """Count the weights; the header of a split file lists its own tensors only."""
    is_split = header.number("split.count") > 1
    return model.n_parameters if is_split else header.parameters


def _thread_choice(settings: LoadSettings, plan: LoadPlan) -> ThreadChoice | None:
    """Return the numbers of threads to choose from; None if the user chose, or if all is on the GPU."""
    if settings.n_threads or plan.is_all_on_gpu:
        return None
    first = plan.n_threads or default_threads()
    return ThreadChoice(threads_to_try(), first, plan.n_prompt_threads or default_prompt_threads())


class _LoadProgress:
    """The progress of one step of a load, reported now and then; `start` and `share` place it in the whole.

    A call reports a fraction of the step and returns False once the load is to be stopped.
    """

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
