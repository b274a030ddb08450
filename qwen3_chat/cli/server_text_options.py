"""`ask --file mcp:…` and `ask --template mcp:…`: resources and a prompt of MCP servers in a question."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from qwen3_chat.cli.mcp_source import McpSource
from qwen3_chat.documents.attachments import join_attachments
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import McpError, UsageError
from qwen3_chat.texts.terminal_safe import label_of_name
from qwen3_chat.tools.tool_source import SourceEventSink

if TYPE_CHECKING:
    from qwen3_chat.mcp.server_messages import ServerPrompt

MAX_NAMED_PROMPTS: Final = 20
"""The most prompts that a sentence names."""

_SERVER: Final = re.compile(r"mcp:([A-Za-z0-9_-]{1,40}):\S")


class ServerTextChoice(Struct, frozen=True):
    """The resources and the prompt that a question takes from servers, by their names."""

    resources: tuple[str, ...] = ()
    prompt: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    """The arguments of the prompt."""

    def __bool__(self) -> bool:
        return bool(self.resources or self.prompt)

    @property
    def servers(self) -> tuple[str, ...]:
        """The names of the servers, each once."""
        names = (*self.resources, *((self.prompt,) if self.prompt else ()))
        return tuple(dict.fromkeys(match[1] for name in names if (match := _SERVER.match(name))))

    async def complete(self, question: str, mcp: McpSource, report: SourceEventSink) -> str:
        """Return the text of the prompt, the question and the resources as one message.

        Raises:
            Qwen3ChatError: a server can't be used, has no such text, or the prompt needs other arguments.
        """
        from qwen3_chat.mcp.server_texts import named_resource, read_resource

        servers = mcp.servers()
        for server in [servers.get(name) for name in self.servers]:
            await mcp.tools.connect(server, report)
        if self.prompt is not None:
            prompt = await self._find_prompt(mcp, self.prompt)
            text = await mcp.prompt_text(prompt, self._arguments(prompt))
            question = "\n\n".join(part for part in (text.strip(), question) if part.strip())
        attachments = []
        for name in self.resources:
            if resource := named_resource(mcp, name):
                attachments.append(await read_resource(mcp, resource))
        return join_attachments(question.rstrip("\n"), attachments) if attachments else question

    async def _find_prompt(self, mcp: McpSource, name: str) -> ServerPrompt:
        from qwen3_chat.mcp.server_texts import RESOURCE_PREFIX, prompt_command

        await mcp.texts_listed()
        wanted = name.removeprefix(RESOURCE_PREFIX)
        prompts = {prompt_command(prompt): prompt for prompt in mcp.prompts()}
        if wanted in prompts:
            return prompts[wanted]
        server, _, prompt_name = wanted.partition(":")
        known = [p.name for p in prompts.values() if p.server == server][:MAX_NAMED_PROMPTS]
        names = label_of_name(", ".join(known)) or "–"
        raise McpError(ErrorCode.MCP_PROMPT_UNKNOWN, name=server, prompt=prompt_name, names=names)

    def _arguments(self, prompt: ServerPrompt) -> Mapping[str, str]:
        known = {argument.name: argument for argument in prompt.arguments}
        for name in self.values:
            if name not in known:
                names = label_of_name(", ".join(known)) or "–"
                raise UsageError(ErrorCode.VARIABLE_UNKNOWN, name=name, known=names)
        for argument in prompt.arguments:
            if argument.is_required and argument.name not in self.values:
                raise UsageError(ErrorCode.VARIABLE_MISSING, name=argument.name)
        return self.values


def is_server_text(name: str) -> bool:
    """Return True for a name such as `mcp:notes:notes://day.md`, which is no file."""
    return _SERVER.match(name) is not None
