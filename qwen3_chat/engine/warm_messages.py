"""The messages by which a caller and a warm engine's holder come together, before those of `wire` follow."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from qwen3_chat.engine import wire
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.request import (
    MAX_THREADS,
    MAX_USER_LAYERS,
    MAX_USER_N_CTX,
    MAX_WARM_MINUTES,
    ChatRequest,
    LoadedModel,
    LoadSettings,
)
from qwen3_chat.sampling import MAX_TOKEN_LIMIT

MAX_GREETING_BYTES = 4096
"""The limit for the first line of a caller."""
MAX_UBATCH = 1 << 16

Minutes = Annotated[float, Meta(ge=0, le=MAX_WARM_MINUTES)]


class Attach(msgspec.Struct, frozen=True, tag=True):
    """Request of a caller for its turn with the engine.

    `key` stands for the model and everything it is to be loaded with; `minutes` is how long the engine then
    waits for the next caller, None leaves that as it is. With `takes_any`, the caller also wants an engine
    that has another model, or none, which it is going to end or to load.
    """

    key: Annotated[str, Meta(max_length=128)]
    minutes: Minutes | None = None
    takes_any: bool = False


class QueryStatus(msgspec.Struct, frozen=True, tag=True):
    """Request for the state of the engine."""


class Stop(msgspec.Struct, frozen=True, tag=True):
    """Request to end the engine: at once by the caller that has its turn, else once that is over."""


class Queued(msgspec.Struct, frozen=True, tag=True):
    """Report that other callers come first."""

    n_before: int


class Attached(msgspec.Struct, frozen=True, tag=True):
    """Report that the turn has come; `model` is the one of the caller's key, if that is loaded."""

    pid: int
    model: LoadedModel | None = None
    has_other_model: bool = False


class WarmStatus(msgspec.Struct, frozen=True, tag=True):
    """State of a warm engine; `ends_in_s` counts from the last answer on."""

    pid: int
    version: str
    model: str
    minutes: float
    ends_in_s: float
    n_callers: int
    memory_bytes: int


Greeting = Attach | QueryStatus | Stop
HolderAnswer = Queued | Attached | WarmStatus

_encoder = msgspec.json.Encoder()
_greeting_decoder = msgspec.json.Decoder(Greeting)
_command_decoder = msgspec.json.Decoder(wire.AnyWorkerCommand | Stop)
_answer_decoder = msgspec.json.Decoder(HolderAnswer)


def encode_greeting(message: Greeting | HolderAnswer) -> bytes:
    """Encode a message as one line."""
    return _encoder.encode(message) + b"\n"


def decode_greeting(line: bytes) -> Greeting:
    """Decode the first line of a caller.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    greeting: Greeting = wire.decode_line(_greeting_decoder, line)
    return greeting


def decode_answer(line: bytes) -> HolderAnswer:
    """Decode a line of the holder, as long as the caller's turn has not come.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    answer: HolderAnswer = wire.decode_line(_answer_decoder, line)
    return answer


def decode_caller_command(line: bytes) -> wire.AnyWorkerCommand | Stop:
    """Decode a line of the caller that has its turn; every number that becomes a size is in its range.

    Raises:
        msgspec.MsgspecError: it is no command, or a number in it is out of range.
    """
    command: wire.AnyWorkerCommand | Stop = wire.decode_line(_command_decoder, line)
    match command:
        case wire.Load(settings=settings, plan=plan):
            _check_load(settings, plan)
        case wire.Generate(request=request) | wire.CountTokens(request=request):
            _check_request(request)
        case _:
            pass
    return command


def _check_load(settings: LoadSettings, plan: LoadPlan) -> None:
    """Raise `msgspec.ValidationError` if a size is out of range."""
    for n_ctx in (settings.n_ctx, plan.n_ctx, plan.yarn_base_n_ctx):
        _require_range(n_ctx, MAX_USER_N_CTX)
    for threads in (settings.n_threads, plan.n_threads, plan.n_prompt_threads):
        _require_range(threads, MAX_THREADS)
    for layers in (
        settings.n_gpu_layers,
        settings.n_cpu_moe,
        plan.n_layers,
        plan.n_gpu_layers,
        plan.n_cpu_moe,
    ):
        _require_range(layers, MAX_USER_LAYERS)
    _require_range(plan.n_ubatch, MAX_UBATCH)


def _check_request(request: ChatRequest) -> None:
    """Raise `msgspec.ValidationError` if a count is out of range."""
    _require_range(request.max_tokens, MAX_TOKEN_LIMIT)
    _require_range(request.thinking_budget, MAX_TOKEN_LIMIT)


def _require_range(number: int | None, maximum: int) -> None:
    if number is not None and not 0 <= number <= maximum:
        raise msgspec.ValidationError(f"{number} is not between 0 and {maximum}")
