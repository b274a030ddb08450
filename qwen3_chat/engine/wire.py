"""The messages between the client and the worker process: one JSON object a line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.tuning import Trial, Tuning
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineDied, EngineError, Qwen3ChatError
from qwen3_chat.events import EngineEvent, Notice, error_from_text_key
from qwen3_chat.models.kernel_speeds import KernelSpeeds
from qwen3_chat.request import ChatRequest, LoadedModel, LoadSettings, PersistenceOptions, TokenCounts


class DeviceKind(StrEnum):
    """A kind of device, as ggml classifies it."""

    CPU = "cpu"
    GPU = "gpu"
    INTEGRATED_GPU = "integrated_gpu"
    ACCELERATOR = "accelerator"
    META = "meta"


class Device(Struct, frozen=True):
    """A device that ggml can compute on; `backend` is CPU, CUDA, Metal, Vulkan …"""

    name: str
    description: str
    backend: str
    kind: DeviceKind
    free_bytes: int
    total_bytes: int


class MeasuredDevice(Struct, frozen=True):
    """A device, by its description, with the speeds that were measured."""

    description: str
    kernels: KernelSpeeds


DeviceLister = Callable[[], Awaitable[tuple[Device, ...]]]
"""A function that has llama.cpp list the devices, in the process where it runs."""


class WorkerCommand(msgspec.Struct, frozen=True, tag=True):
    """The base of the client's commands; every answer carries the command's `call_id`."""

    call_id: int


class Load(WorkerCommand, frozen=True, rename={"persistence": "keeping"}):
    """Command to load a model as planned; without `persistence`, nothing outlives the process."""

    settings: LoadSettings
    plan: LoadPlan
    persistence: PersistenceOptions | None = None


class Generate(WorkerCommand, frozen=True):
    """Command to generate a reply."""

    request: ChatRequest


class CountTokens(WorkerCommand, frozen=True):
    """Command to count the tokens of a request."""

    request: ChatRequest


class ListDevices(WorkerCommand, frozen=True):
    """Command to list the devices that could run the model."""


class MeasureKernels(WorkerCommand, frozen=True):
    """Command to measure the devices that could run a model, in a process without one."""


class WaitIdle(WorkerCommand, frozen=True, tag="Rest"):
    """Command to report when nothing is left to do, idle work included."""


class SaveSnapshot(WorkerCommand, frozen=True, tag="KeepChat"):
    """Command to save a snapshot of the evaluated chat, if evaluating it took long."""


class Calibrate(WorkerCommand, frozen=True):
    """Command to measure the fastest settings of the loaded model completely, and to store them."""


class RemoveSnapshot(WorkerCommand, frozen=True, tag="ForgetChat"):
    """Command to remove the snapshot of a deleted chat; it has no answer."""

    chat_id: int


class EndThinking(WorkerCommand, frozen=True):
    """Command to make the reply of that call stop thinking and answer now."""


class Cancel(WorkerCommand, frozen=True):
    """Command to stop the load or the reply of that call."""


AnyWorkerCommand = (
    Load
    | Generate
    | CountTokens
    | ListDevices
    | MeasureKernels
    | WaitIdle
    | SaveSnapshot
    | Calibrate
    | RemoveSnapshot
    | EndThinking
    | Cancel
)


class WorkerMessage(msgspec.Struct, frozen=True, tag=True):
    """The base of the worker's messages."""


class Ready(WorkerMessage, frozen=True):
    """Report that the worker has started, with the versions of its parts."""

    versions: dict[str, str]


class EventEmitted(WorkerMessage, frozen=True, tag="Happened"):
    """Event of a load or a reply."""

    call_id: int
    event: EngineEvent


class Loaded(WorkerMessage, frozen=True):
    """Report that the model is ready, the end of a load."""

    call_id: int
    model: LoadedModel


class TokensCounted(WorkerMessage, frozen=True, rename={"counts": "measure"}, tag="Counted"):
    """Token counts of a request."""

    call_id: int
    counts: TokenCounts


class DevicesListed(WorkerMessage, frozen=True):
    """Devices that could run the model."""

    call_id: int
    devices: tuple[Device, ...]


class KernelsMeasured(WorkerMessage, frozen=True):
    """Speeds of the devices that could be measured."""

    call_id: int
    devices: tuple[MeasuredDevice, ...]


class Idle(WorkerMessage, frozen=True, tag="Rested"):
    """Report that the worker is idle, with the settings that were measured so far."""

    call_id: int
    tuning: Tuning | None = None


class SavingSnapshot(WorkerMessage, frozen=True, tag="KeepingChat"):
    """Report that the snapshot of the chat is being written."""

    call_id: int


class SnapshotSaved(WorkerMessage, frozen=True, tag="ChatKept"):
    """Report that the snapshot is written, or that it is not needed or not possible."""

    call_id: int


class TrialFinished(WorkerMessage, frozen=True, tag="Tried"):
    """Result of one of `total` trials of the calibration."""

    call_id: int
    trial: Trial
    done: int
    total: int


class Calibrated(WorkerMessage, frozen=True):
    """Result of the calibration; None if there was too little memory for it."""

    call_id: int
    tuning: Tuning | None


class NoticeEmitted(WorkerMessage, frozen=True, tag="Noticed"):
    """Notice for the user that belongs to no command, about work that the worker began itself."""

    notice: Notice


class CommandFailed(WorkerMessage, frozen=True):
    """Failure of a command, the end of its call: the key of its sentence with the values."""

    call_id: int
    key: str
    values: dict[str, str | int | float] = {}

    @classmethod
    def from_error(cls, call_id: int, error: Qwen3ChatError) -> CommandFailed:
        """Return the message that reports an error."""
        return cls(call_id, error.code.text_key, error.plain_values)

    def to_error(self) -> EngineError:
        """Return the error that the message reports."""
        return error_from_text_key(self.key, self.values)


class Aborting(WorkerMessage, frozen=True):
    """The reason why llama.cpp is about to abort the process."""

    reason: str


class Ended(WorkerMessage, frozen=True):
    """Report of a warm engine's holder that the worker has ended: the key of the sentence with the values."""

    key: str
    values: dict[str, str | int | float] = {}

    def to_error(self) -> EngineDied:
        """Return the error for the end of the worker."""
        error = error_from_text_key(self.key, self.values)
        return EngineDied(error.code, **error.values)


AnyWorkerMessage = (
    Ready
    | EventEmitted
    | Loaded
    | TokensCounted
    | DevicesListed
    | KernelsMeasured
    | Idle
    | SavingSnapshot
    | SnapshotSaved
    | TrialFinished
    | Calibrated
    | NoticeEmitted
    | CommandFailed
    | Aborting
    | Ended
)

_encoder = msgspec.json.Encoder()


@cache
def _command_decoder() -> msgspec.json.Decoder[AnyWorkerCommand]:
    """Return the decoder of commands; to make one takes a millisecond, and only the worker needs it."""
    return msgspec.json.Decoder(AnyWorkerCommand)


@cache
def _message_decoder() -> msgspec.json.Decoder[AnyWorkerMessage]:
    """Return the decoder of messages, which only the client needs."""
    return msgspec.json.Decoder(AnyWorkerMessage)


def encode(message: AnyWorkerCommand | AnyWorkerMessage) -> bytes:
    """Encode a message as one line.

    Raises:
        EngineError: a text contains half a character (a lone surrogate), which UTF-8 can't carry.
    """
    try:
        return _encoder.encode(message) + b"\n"
    except UnicodeEncodeError as error:
        raise EngineError(ErrorCode.TEXT_NOT_UNICODE) from error


def decode_command(line: bytes) -> AnyWorkerCommand:
    """Decode a line that the client wrote.

    Raises:
        msgspec.MsgspecError: it is no command.
    """
    command: AnyWorkerCommand = decode_line(_command_decoder(), line)
    return command


def decode_message(line: bytes) -> AnyWorkerMessage:
    """Decode a line that the worker wrote.

    Raises:
        msgspec.MsgspecError: it is no message.
    """
    message: AnyWorkerMessage = decode_line(_message_decoder(), line)
    return message


def decode_line(decoder: msgspec.json.Decoder[Any], line: bytes) -> Any:
    """Decode a line, whatever is in it.

    Raises:
        msgspec.MsgspecError: the decoder can't make anything of it.
    """
    try:
        return decoder.decode(line)
    except (UnicodeDecodeError, RecursionError, OverflowError) as error:  # msgspec lets them through
        raise msgspec.DecodeError(str(error)) from error
