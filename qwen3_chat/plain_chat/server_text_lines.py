"""Prompts and resources of MCP servers as plain lines: listed, filled in, attached by their names."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from qwen3_chat.documents.attachments import Attachment, join_attachments
from qwen3_chat.mcp.forms import FormAction, FormPrompt
from qwen3_chat.mcp.server_messages import ServerPrompt
from qwen3_chat.mcp.server_texts import (
    TextSource,
    named_resource,
    prompt_command,
    prompt_request,
    read_resource,
    resource_path,
)
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import terminal_safe

MAX_LISTED_TEXTS: Final = 100
"""The most prompts, and the most resources, of which each gets a line."""

_COMMAND: Final = re.compile(r"/([A-Za-z0-9_-]{1,40}:[\w.-]{1,200})\s*")
_MENTION: Final = re.compile(r"(?<!\S)@(mcp:\S+)")


def prompt_name(line: str) -> str | None:
    """Return the name of a prompt in a line such as `/notes:day`; None for any other line."""
    match = _COMMAND.fullmatch(line.strip())
    return match[1] if match else None


class ServerTextLines:
    """The prompts and resources of the servers of a chat; `fill` has the user fill a prompt's arguments."""

    def __init__(self, texts: TextSource, fill: FormPrompt, write_line: Callable[[str], None]) -> None:
        self._texts = texts
        self._fill = fill
        self._write_line = write_line

    async def write_lists(self) -> None:
        """Write what the servers that run have, each under the name by which it is used."""
        await self._texts.texts_listed()
        prompts = [(f"/{prompt_command(prompt)}", prompt.about) for prompt in self._texts.prompts()]
        resources = [(f"@{resource_path(found)}", found.name) for found in self._texts.resources()]
        for name, about in [*prompts[:MAX_LISTED_TEXTS], *resources[:MAX_LISTED_TEXTS]]:
            self._write_line(terminal_safe(f"{name}: {about}" if about else name))
        n_left_out = sum(max(0, len(found) - MAX_LISTED_TEXTS) for found in (prompts, resources))
        if n_left_out:
            self._write_line(t("linear.servers.more", count=n_left_out))
        if not prompts and not resources:
            self._write_line(t("linear.servers.none"))

    async def prompt_text(self, name: str) -> str:
        """Return the text of a prompt once its arguments are filled in; nothing where the user leaves it."""
        prompt = await self._find(name)
        if prompt is None:
            self._write_line(t("linear.servers.no_prompt", name=name))
            return ""
        values = dict[str, str]()
        if prompt.arguments:
            answer = await self._fill(prompt_request(prompt))
            if answer.action is not FormAction.ACCEPT:
                return ""
            values = {key: str(value) for key, value in answer.content.items()}
        text = (await self._texts.prompt_text(prompt, values)).strip()
        self._write_line(terminal_safe(text) or t("ui.prompt.empty", name=name))
        return text

    async def attach_mentioned(self, message: str) -> str:
        """Return a message with the resources attached that it names, such as `@mcp:notes:notes://day.md`.

        Raises:
            Qwen3ChatError: one can't be read.
        """
        attachments = list[Attachment]()
        for name in dict.fromkeys(_MENTION.findall(message)):
            if resource := named_resource(self._texts, name):
                attachments.append(await read_resource(self._texts, resource))
        if not attachments:
            return message
        return join_attachments(_MENTION.sub(lambda mention: _last_part(mention[1]), message), attachments)

    async def _find(self, name: str) -> ServerPrompt | None:
        await self._texts.texts_listed()
        return next((prompt for prompt in self._texts.prompts() if prompt_command(prompt) == name), None)


def _last_part(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]
