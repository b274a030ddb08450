"""The messages between the interface and the process that talks to MCP servers: one JSON object a line."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import McpError
from qwen3_chat.mcp.forms import FormAnswer, FormRequested

MAX_IMAGES: Final = 8
"""The most images of a result that are kept."""


class CommandLaunch(msgspec.Struct, frozen=True, tag=True):
    """A server that is started: the command's path, its arguments, its whole environment, its folder."""

    command: str
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    folder: str = ""
    log_path: str = ""
    """The file that gets what the server writes to stderr; none without a path."""


class SignIn(msgspec.Struct, frozen=True):
    """The way to sign in to a server that wants it; without a `client_id`, this app registers itself."""

    tokens_path: str
    page: str
    """The page that the browser shows at the end."""
    client_id: str = ""
    client_secret: str = ""
    client_metadata_url: str = ""
    port: int = 0


class HttpLaunch(msgspec.Struct, frozen=True, tag=True):
    """A server that runs somewhere: its address and the headers of every request."""

    url: str
    headers: dict[str, str] = {}
    is_sse: bool = False
    """True for the transport of 2024, which a few servers still speak."""
    sign_in: SignIn | None = None
    """None where the headers say who the user is."""


Launch = CommandLaunch | HttpLaunch


class ServerTool(msgspec.Struct, frozen=True):
    """A tool as its server describes it; `raw_hash` is that of the whole object as it came."""

    name: str
    description: str
    schema: dict[str, Any]
    raw_hash: str
    raw: str = ""
    """The object as JSON; cut where it is long."""


class PromptArgument(msgspec.Struct, frozen=True):
    """An argument of a prompt, with the texts that are shown for it."""

    name: str
    title: str
    about: str = ""
    is_required: bool = False


class ServerPrompt(msgspec.Struct, frozen=True):
    """A prompt that a server has for the user."""

    server: str
    name: str
    about: str = ""
    arguments: tuple[PromptArgument, ...] = ()


class ServerResource(msgspec.Struct, frozen=True):
    """A resource that a server has for the user, by its address."""

    server: str
    uri: str
    name: str
    about: str = ""


class Command(msgspec.Struct, frozen=True, tag=True):
    """The base of the commands; every answer carries the command's `call_id`."""

    call_id: int


class Connect(Command, frozen=True):
    """Command to connect to a server, and to start it if need be."""

    server: str
    launch: Launch
    timeout_s: float
    secrets: tuple[str, ...] = ()
    """Texts that no error and no log may show."""
    result_secrets: tuple[str, ...] = ()
    """Those that are taken out of results as well."""


class CallTool(Command, frozen=True):
    """Command to call a tool of a server that is connected."""

    server: str
    tool: str
    arguments: dict[str, Any]


class GetPrompt(Command, frozen=True):
    """Command to get the text of a prompt of a server that is connected."""

    server: str
    prompt: str
    arguments: dict[str, str] = {}


class ReadResource(Command, frozen=True):
    """Command to read a resource of a server that is connected."""

    server: str
    uri: str


class Disconnect(Command, frozen=True):
    """Command to disconnect from a server and to end it."""

    server: str


class CancelCall(Command, frozen=True):
    """Command to stop the call with this id."""


class AnswerForm(Command, frozen=True):
    """Command to pass on the user's answer to the form with this id."""

    answer: FormAnswer


AnyCommand = Connect | CallTool | Disconnect | CancelCall | AnswerForm | GetPrompt | ReadResource


class Connected(msgspec.Struct, frozen=True, tag=True):
    """The answer to `Connect`: what the server says of itself, its tools."""

    call_id: int
    title: str
    protocol: str
    tools: tuple[ServerTool, ...]


class ToolReturned(msgspec.Struct, frozen=True, tag=True):
    """The answer to `CallTool`: the result as text, its images as bytes."""

    call_id: int
    text: str
    is_error: bool = False
    images: tuple[bytes, ...] = ()


class TextReturned(msgspec.Struct, frozen=True, tag=True):
    """The answer to `GetPrompt` and `ReadResource`."""

    call_id: int
    text: str


class Disconnected(msgspec.Struct, frozen=True, tag=True):
    """The answer to `Disconnect`."""

    call_id: int


class ServerCommandFailed(msgspec.Struct, frozen=True, tag=True):
    """The answer to a command that failed: an error by the key of its sentence, with the values."""

    call_id: int
    text_key: str
    values: dict[str, str | int | float]

    @classmethod
    def from_error(cls, call_id: int, error: McpError) -> ServerCommandFailed:
        """Return the answer for an error."""
        return cls(call_id, error.code.text_key, error.plain_values)

    def to_error(self) -> McpError:
        """Return the error."""
        return McpError(ErrorCode.from_text_key(self.text_key), **self.values)


class ToolsChanged(msgspec.Struct, frozen=True, tag=True):
    """The news that a server has other tools now."""

    server: str
    tools: tuple[ServerTool, ...]


class TextsListed(msgspec.Struct, frozen=True, tag=True):
    """The news that a server has these prompts and resources now."""

    server: str
    prompts: tuple[ServerPrompt, ...]
    resources: tuple[ServerResource, ...]


class ServerEnded(msgspec.Struct, frozen=True, tag=True):
    """The news that a server that was connected is no longer."""

    server: str
    text_key: str
    values: dict[str, str | int | float]

    def to_error(self) -> McpError:
        """Return the error."""
        return McpError(ErrorCode.from_text_key(self.text_key), **self.values)


class CallProgressed(msgspec.Struct, frozen=True, tag=True):
    """The news of how far a call has come."""

    call_id: int
    progress: float
    total: float | None = None
    message: str = ""


class FormWithdrawn(msgspec.Struct, frozen=True, tag=True):
    """The news that a form needs no answer any longer."""

    form_id: int


Answer = Connected | ToolReturned | TextReturned | Disconnected | ServerCommandFailed
News = ToolsChanged | TextsListed | ServerEnded | FormRequested | FormWithdrawn
"""The messages that servers cause by themselves."""

AnyMessage = Answer | News | CallProgressed

_command_decoder = msgspec.json.Decoder(AnyCommand)
_message_decoder = msgspec.json.Decoder(AnyMessage)


def encode_message(message: AnyCommand | AnyMessage) -> bytes:
    """Return the line of a message."""
    return msgspec.json.encode(message) + b"\n"


def decode_server_command(line: bytes) -> AnyCommand:
    """Return the command of a line."""
    command: AnyCommand = _command_decoder.decode(line)
    return command


def decode_server_message(line: bytes) -> AnyMessage:
    """Return the message of a line."""
    message: AnyMessage = _message_decoder.decode(line)
    return message
