"""The worker's own objects in this process: replies and idle time, one step at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from in_place_renderer import InPlaceRenderer
from qwen3_chat.chat import ChatMessage, StopReason, Usage
from qwen3_chat.engine import wire
from qwen3_chat.engine.library_trial import plan_for
from qwen3_chat.engine.load_planner import make_plan
from qwen3_chat.engine.native_libraries import LIBRARY_VARIABLE
from qwen3_chat.engine.worker.__main__ import ENVIRONMENT, open_library
from qwen3_chat.engine.worker.abort_flag import AbortFlag
from qwen3_chat.engine.worker.client_channel import Job
from qwen3_chat.engine.worker.llama_log import LlamaLog
from qwen3_chat.engine.worker.llama_model import LlamaModel, LoadEventSink, load_model
from qwen3_chat.engine.worker.prefetch import prefetch_next_prompt
from qwen3_chat.engine.worker.reply_generator import ReplyGenerator
from qwen3_chat.engine.worker.worker_log import WorkerLog
from qwen3_chat.events import TurnFinished
from qwen3_chat.models.gguf import read_file
from qwen3_chat.record_copies import replace
from qwen3_chat.request import LLAMA_CPP_NAME, Adapter, ChatRequest, KvType, LoadSettings


@dataclass(frozen=True, slots=True)
class Turn:
    """A request with the reply to it."""

    request: ChatRequest
    message: ChatMessage
    stop_reason: StopReason
    usage: Usage


def open_model(
    path: Path,
    log_path: Path,
    n_ctx: int | None = None,
    n_threads: int | None = None,
    adapters: tuple[Adapter, ...] = (),
    draft: str = "",
    on_event: LoadEventSink = lambda event: None,
    kv_type: KvType | None = None,
) -> Iterator[LlamaModel]:
    """Load a model and yield it; free it afterwards. `QWEN3_CHAT_LIBRARY` names another library."""
    settings = LoadSettings(
        str(path), n_ctx=n_ctx, n_threads=n_threads, kv_type=kv_type, adapters=adapters, draft=draft
    )
    plan, _ = make_plan(read_file(path), path.stat().st_size, None, settings)
    plan = plan_for(os.environ.get(LIBRARY_VARIABLE, LLAMA_CPP_NAME), plan)
    log = WorkerLog(log_path)
    llama_log = LlamaLog(log)
    os.environ.update(ENVIRONMENT)  # OpenMP reads it when the library is loaded
    model = load_model(open_library(log), settings, plan, AbortFlag(), on_event, llama_log, InPlaceRenderer())
    yield model
    model.context.native.free()
    model.native.free()


def clear_context(model: LlamaModel) -> None:
    """Empty the KV cache, and forget that an earlier reply was stopped."""
    model.context.set_abort_flag(AbortFlag())
    model.context.clear()


def reply_to(model: LlamaModel, request: ChatRequest, stop_at: int | None = None) -> Turn:
    """Generate a reply; set its abort flag at the event number `stop_at`."""
    job = Job(wire.Generate(1, request))
    reply = ReplyGenerator(model, request, job)
    end = None
    for number, event in enumerate(reply.events()):
        end = event
        if number == stop_at:
            job.abort.set()
    assert isinstance(end, TurnFinished)
    return Turn(request, reply.message(), end.stop_reason, end.usage)


def use_idle_time(model: LlamaModel, turn: Turn, abort: AbortFlag | None = None) -> None:
    """Spend the idle time after a turn."""
    prefetch_next_prompt(model, turn.request, turn.message, turn.stop_reason, abort or AbortFlag())


def then(turn: Turn, question: ChatMessage, **changes: object) -> ChatRequest:
    """Return the request with the next question."""
    messages = (*turn.request.messages, turn.message, question)
    return replace(turn.request, messages=messages, **changes)  # type: ignore[arg-type]
