"""The messages between the client and the worker process: one JSON object a line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.tuning import Trial, Tuning
from qwen3_chat.errors import EngineError, Qwen3ChatError
from qwen3_chat.events import EngineEvent, Notice
from qwen3_chat.request import ChatRequest, LoadedModel, LoadSettings, PersistenceOptions, TokenCounts


class DeviceKind(StrEnum):
    """What ggml takes a device for."""

    CPU = "cpu"
    GPU = "gpu"
    INTEGRATED_GPU = "integrated_gpu"
    ACCELERATOR = "accelerator"
    META = "meta"


@dataclass(frozen=True, slots=True)
class Device:
    """Something that ggml can compute on; `backend` is CPU, CUDA, Metal, Vulkan …"""

    name: str
    description: str
    backend: str
    kind: DeviceKind
    free_bytes: int
    total_bytes: int


class WorkerCommand(msgspec.Struct, frozen=True, tag=True):
    """The base of what the client asks for; every answer to it carries its `call_id`."""

    call_id: int


class Load(WorkerCommand, frozen=True, rename={"persistence": "keeping"}):
    """Load a model as planned; without `persistence`, nothing outlives the process."""

    settings: LoadSettings
    plan: LoadPlan
    persistence: PersistenceOptions | None = None


class Generate(WorkerCommand, frozen=True):
    """Generate a reply."""

    request: ChatRequest


class CountTokens(WorkerCommand, frozen=True):
    """Count the tokens of a request."""

    request: ChatRequest


class ListDevices(WorkerCommand, frozen=True):
    """List what the model could run on."""


class WaitIdle(WorkerCommand, frozen=True, tag="Rest"):
    """Tell when nothing is left to do, in idle time neither."""


class SaveSnapshot(WorkerCommand, frozen=True, tag="KeepChat"):
    """Keep on disk what was evaluated of the chat, where it took long."""


class Calibrate(WorkerCommand, frozen=True):
    """Measure how the loaded model runs fastest here, all of it, and remember that."""


class RemoveSnapshot(WorkerCommand, frozen=True, tag="ForgetChat"):
    """Keep nothing of a chat that was deleted; there is no answer to this."""

    chat_id: int


class EndThinking(WorkerCommand, frozen=True):
    """Have the reply of that call stop thinking and answer now."""


class Cancel(WorkerCommand, frozen=True):
    """Stop the load or the reply of that call."""


AnyWorkerCommand = (
    Load
    | Generate
    | CountTokens
    | ListDevices
    | WaitIdle
    | SaveSnapshot
    | Calibrate
    | RemoveSnapshot
    | EndThinking
    | Cancel
)


class WorkerMessage(msgspec.Struct, frozen=True, tag=True):
    """The base of what the worker answers."""


class Ready(WorkerMessage, frozen=True):
    """The worker has started; the versions of what it is made of."""

    versions: dict[str, str]


class EventEmitted(WorkerMessage, frozen=True, tag="Happened"):
    """An event of a load or a reply."""

    call_id: int
    event: EngineEvent


class Loaded(WorkerMessage, frozen=True):
    """The model is ready; ends a load."""

    call_id: int
    model: LoadedModel


class TokensCounted(WorkerMessage, frozen=True, rename={"counts": "measure"}, tag="Counted"):
    """The tokens of a request."""

    call_id: int
    counts: TokenCounts


class DevicesListed(WorkerMessage, frozen=True):
    """What the model could run on."""

    call_id: int
    devices: tuple[Device, ...]


class Idle(WorkerMessage, frozen=True, tag="Rested"):
    """Nothing is left to do."""

    call_id: int


class SavingSnapshot(WorkerMessage, frozen=True, tag="KeepingChat"):
    """The chat is being written to disk."""

    call_id: int


class SnapshotSaved(WorkerMessage, frozen=True, tag="ChatKept"):
    """The chat is on disk, or need not or can't be."""

    call_id: int


class TrialFinished(WorkerMessage, frozen=True, tag="Tried"):
    """One of `total` ways to run the model was measured."""

    call_id: int
    trial: Trial
    done: int
    total: int


class Calibrated(WorkerMessage, frozen=True):
    """What was found; None where there was no memory to find anything."""

    call_id: int
    tuning: Tuning | None


class NoticeEmitted(WorkerMessage, frozen=True, tag="Noticed"):
    """Something to tell the user that belongs to no command: what the worker does of its own accord."""

    notice: Notice


class CommandFailed(WorkerMessage, frozen=True):
    """A command could not be done: a key of the text catalogue with its values; ends the call."""

    call_id: int
    key: str
    values: dict[str, str | int | float] = {}

    @classmethod
    def from_error(cls, call_id: int, error: Qwen3ChatError) -> CommandFailed:
        """Turn an error into a message."""
        values = {k: v if isinstance(v, str | int | float) else str(v) for k, v in error.values.items()}
        return cls(call_id, error.key, values)


class Aborting(WorkerMessage, frozen=True):
    """The last words of a worker that llama.cpp is about to abort."""

    reason: str


AnyWorkerMessage = (
    Ready
    | EventEmitted
    | Loaded
    | TokensCounted
    | DevicesListed
    | Idle
    | SavingSnapshot
    | SnapshotSaved
    | TrialFinished
    | Calibrated
    | NoticeEmitted
    | CommandFailed
    | Aborting
)

_encoder = msgspec.json.Encoder()
_command_decoder = msgspec.json.Decoder(AnyWorkerCommand)
_message_decoder = msgspec.json.Decoder(AnyWorkerMessage)


def encode(message: AnyWorkerCommand | AnyWorkerMessage) -> bytes:
    """Write a message as one line.

    Raises:
        EngineError: a text holds half a character (a lone surrogate), which UTF-8 can't carry.
    """
    try:
        return _encoder.encode(message) + b"\n"
    except UnicodeEncodeError as error:
        raise EngineError("engine.text_not_unicode") from error


def decode_command(line: bytes) -> AnyWorkerCommand:
    """Read a line that the client wrote."""
    command: AnyWorkerCommand = _command_decoder.decode(line)
    return command


def decode_message(line: bytes) -> AnyWorkerMessage:
    """Read a line that the worker wrote."""
    reply: AnyWorkerMessage = _message_decoder.decode(line)
    return reply
