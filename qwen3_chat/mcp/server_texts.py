"""Prompts and resources of servers: the names by which they are chosen, and where their texts come from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from qwen3_chat.documents.attachments import Attachment
from qwen3_chat.documents.file_text import MAX_TEXT_BYTES
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.mcp.forms import FieldKind, FormField, FormRequested
from qwen3_chat.mcp.server_messages import ServerPrompt, ServerResource
from qwen3_chat.texts.formatting import format_size
from qwen3_chat.texts.terminal_safe import label_of_name

RESOURCE_PREFIX: Final = "mcp:"
"""The beginning of the names of resources, by which they are told from files."""

_RESOURCE: Final = re.compile(r"mcp:([A-Za-z0-9_-]{1,40}):(\S{1,2000})")
_NOT_IN_COMMAND: Final = re.compile(r"[^\w.-]")


class TextSource(Protocol):
    """The prompts and resources of the servers that run, and their texts."""

    def prompts(self) -> Sequence[ServerPrompt]:
        """Return the prompts of all servers that run."""
        ...

    def resources(self) -> Sequence[ServerResource]:
        """Return the resources of all servers that run."""
        ...

    async def texts_listed(self) -> None:
        """Wait until the servers that run have listed both, for a few seconds at most."""
        ...

    async def prompt_text(self, prompt: ServerPrompt, arguments: Mapping[str, str]) -> str:
        """Return the text of a prompt with these arguments.

        Raises:
            Qwen3ChatError: the server can't be reached, or answers with an error.
        """
        ...

    async def resource_text(self, resource: ServerResource) -> str:
        """Return the text of a resource.

        Raises:
            Qwen3ChatError: the server can't be reached, or answers with an error.
        """
        ...


def prompt_command(prompt: ServerPrompt) -> str:
    """Return the command of a prompt, as it is typed after `/`."""
    return f"{prompt.server}:{_NOT_IN_COMMAND.sub('_', prompt.name)}"


def resource_path(resource: ServerResource) -> str:
    """Return the name of a resource, as it is found after `@`."""
    return f"{RESOURCE_PREFIX}{resource.server}:{resource.uri}"


def named_resource(texts: TextSource, path: str) -> ServerResource | None:
    """Return the resource of a name such as `mcp:notes:notes://day.md`; None where it is no such name.

    A server also reads addresses that it does not list.
    """
    listed = next((resource for resource in texts.resources() if resource_path(resource) == path), None)
    if listed is not None or (match := _RESOURCE.fullmatch(path)) is None:
        return listed
    return ServerResource(match[1], match[2], label_of_name(match[2]))


async def read_resource(texts: TextSource, resource: ServerResource) -> Attachment:
    """Return a resource as an attachment.

    Raises:
        UsageError: it is too large.
        Qwen3ChatError: the server can't be reached, or answers with an error.
    """
    text = await texts.resource_text(resource)
    name = f"{resource.server}: {resource.name}"
    if len(text) > MAX_TEXT_BYTES:
        raise UsageError(ErrorCode.FILE_TOO_LARGE, file=name, limit=format_size(MAX_TEXT_BYTES))
    return Attachment(name, text)


def prompt_request(prompt: ServerPrompt) -> FormRequested:
    """Return a form for the arguments of a prompt."""
    fields = tuple(
        FormField(a.name, a.title, FieldKind.TEXT, a.about, is_required=a.is_required)
        for a in prompt.arguments
    )
    return FormRequested(0, prompt.server, prompt.about, fields)
