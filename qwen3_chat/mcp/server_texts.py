"""Prompts and resources of servers: the names by which they are chosen, and where their texts come from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from qwen3_chat.mcp.forms import FieldKind, FormField, FormRequested
from qwen3_chat.mcp.server_messages import ServerPrompt, ServerResource

RESOURCE_PREFIX: Final = "mcp:"
"""The beginning of the names of resources, by which they are told from files."""

_NOT_IN_COMMAND: Final = re.compile(r"[^\w.-]")


class TextSource(Protocol):
    """The prompts and resources of the servers that run, and their texts."""

    def prompts(self) -> Sequence[ServerPrompt]:
        """Return the prompts of all servers that run."""
        ...

    def resources(self) -> Sequence[ServerResource]:
        """Return the resources of all servers that run."""
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


def prompt_request(prompt: ServerPrompt) -> FormRequested:
    """Return a form for the arguments of a prompt."""
    fields = tuple(
        FormField(a.name, a.title, FieldKind.TEXT, a.about, is_required=a.is_required)
        for a in prompt.arguments
    )
    return FormRequested(0, prompt.server, prompt.about, fields)
