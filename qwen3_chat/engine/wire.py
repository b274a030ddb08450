"""The messages between the interface and the engine's process: one JSON object a line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.tuning import Trial, Tuning
from qwen3_chat.errors import EngineError, Qwen3ChatError
from qwen3_chat.events import EngineEvent, Notice
from qwen3_chat.request import ChatRequest, Keeping, LoadedModel, LoadSettings, Measure


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


class Command(msgspec.Struct, frozen=True, tag=True):
    """The base of what the client asks for; every answer to it carries its `call_id`."""

    call_id: int


class Load(Command, frozen=True):
    """Load a model as planned; without `keeping`, nothing outlives the process."""

    settings: LoadSettings
    plan: LoadPlan
    keeping: Keeping | None = None


class Generate(Command, frozen=True):
    """Generate a reply."""

    request: ChatRequest


class CountTokens(Command, frozen=True):
    """Count the tokens of a request."""

    request: ChatRequest


class ListDevices(Command, frozen=True):
    """List what the model could run on."""


class Rest(Command, frozen=True):
    """Tell when nothing is left to do, in idle time neither."""


class KeepChat(Command, frozen=True):
    """Keep on disk what was evaluated of the chat, where it took long."""


class Calibrate(Command, frozen=True):
    """Measure how the loaded model runs fastest here, all of it, and remember that."""


class ForgetChat(Command, frozen=True):
    """Keep nothing of a chat that was deleted; there is no answer to this."""

    chat_id: int


class EndThinking(Command, frozen=True):
    """Have the reply of that call stop thinking and answer now."""


class Cancel(Command, frozen=True):
    """Stop the load or the reply of that call."""


AnyCommand = (
    Load
    | Generate
    | CountTokens
    | ListDevices
    | Rest
    | KeepChat
    | Calibrate
    | ForgetChat
    | EndThinking
    | Cancel
)


class Reply(msgspec.Struct, frozen=True, tag=True):
    """The base of what the worker answers."""


class Ready(Reply, frozen=True):
    """The worker has started; the versions of what it is made of."""

    versions: dict[str, str]


class Happened(Reply, frozen=True):
    """An event of a load or a reply."""

    call_id: int
    event: EngineEvent


class Loaded(Reply, frozen=True):
    """The model is ready; ends a load."""

    call_id: int
    model: LoadedModel


class Counted(Reply, frozen=True):
    """The tokens of a request."""

    call_id: int
    measure: Measure


class DevicesListed(Reply, frozen=True):
    """What the model could run on."""

    call_id: int
    devices: tuple[Device, ...]


class Rested(Reply, frozen=True):
    """Nothing is left to do."""

    call_id: int


class KeepingChat(Reply, frozen=True):
    """The chat is being written to disk."""

    call_id: int


class ChatKept(Reply, frozen=True):
    """The chat is on disk, or need not or can't be."""

    call_id: int


class Tried(Reply, frozen=True):
    """One of `total` ways to run the model was measured."""

    call_id: int
    trial: Trial
    done: int
    total: int


class Calibrated(Reply, frozen=True):
    """What was found; None where there was no memory to find anything."""

    call_id: int
    tuning: Tuning | None


class Noticed(Reply, frozen=True):
    """Something to tell the user that belongs to no command: what the worker does of its own accord."""

    notice: Notice


class CommandFailed(Reply, frozen=True):
    """A command could not be done: a key of the text catalogue with its values; ends the call."""

    call_id: int
    key: str
    values: dict[str, str | int | float] = {}

    @classmethod
    def because(cls, call_id: int, error: Qwen3ChatError) -> CommandFailed:
        """Turn an error into a message."""
        values = {k: v if isinstance(v, str | int | float) else str(v) for k, v in error.values.items()}
        return cls(call_id, error.key, values)


class Aborting(Reply, frozen=True):
    """The last words of a worker that llama.cpp is about to abort."""

    reason: str


AnyReply = (
    Ready
    | Happened
    | Loaded
    | Counted
    | DevicesListed
    | Rested
    | KeepingChat
    | ChatKept
    | Tried
    | Calibrated
    | Noticed
    | CommandFailed
    | Aborting
)

_encoder = msgspec.json.Encoder()
_command_decoder = msgspec.json.Decoder(AnyCommand)
_reply_decoder = msgspec.json.Decoder(AnyReply)


def encode(message: AnyCommand | AnyReply) -> bytes:
    """Write a message as one line.

    Raises:
        EngineError: a text holds half a character (a lone surrogate), which UTF-8 can't carry.
    """
    try:
        return _encoder.encode(message) + b"\n"
    except UnicodeEncodeError as error:
        raise EngineError("engine.text_not_unicode") from error


def decode_command(line: bytes) -> AnyCommand:
    """Read a line that the client wrote."""
    command: AnyCommand = _command_decoder.decode(line)
    return command


def decode_reply(line: bytes) -> AnyReply:
    """Read a line that the worker wrote."""
    reply: AnyReply = _reply_decoder.decode(line)
    return reply
