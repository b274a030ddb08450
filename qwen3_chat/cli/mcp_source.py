"""The MCP servers of this user, made ready when a chat first offers one of their tools."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3_chat.config import Paths

if TYPE_CHECKING:
    from qwen3_chat.mcp.forms import FormPrompt
    from qwen3_chat.mcp.mcp_tools import McpTools
    from qwen3_chat.mcp.server_config import McpServers
    from qwen3_chat.mcp.server_messages import ServerPrompt, ServerResource
    from qwen3_chat.tools.consent import ConsentPrompt
    from qwen3_chat.tools.tool import Tool
    from qwen3_chat.tools.tool_source import SourceEventSink


class McpSource:
    """The source of the tools of MCP servers; nothing of it is loaded before it is needed.

    `other_file` is a file of another program whose servers are known as well (`--mcp`); `chat_folder` returns
    the folder of a chat's files.
    """

    def __init__(
        self,
        paths: Paths,
        other_file: Path | None = None,
        chat_folder: Callable[[int], Path] | None = None,
    ) -> None:
        self._paths = paths
        self._other_file = other_file
        self._chat_folder = chat_folder
        self._tools: McpTools | None = None
        self._ask: ConsentPrompt | None = None
        self._allowed_names: frozenset[str] = frozenset()
        self._allows_all = False
        self._fill: FormPrompt | None = None

    def set_trust(
        self,
        ask: ConsentPrompt | None = None,
        allowed_names: Sequence[str] = (),
        *,
        allows_all: bool = False,
        fill: FormPrompt | None = None,
    ) -> None:
        """Say how to ask the user and how to fill forms, and what is allowed without asking (`--allow`)."""
        self._ask, self._allowed_names, self._allows_all = ask, frozenset(allowed_names), allows_all
        self._fill = fill

    def servers(self) -> McpServers:
        """Return the servers of all files, as they are now.

        Raises:
            McpError: a file can't be read.
        """
        from qwen3_chat.mcp.config_file import load_servers

        return load_servers(self._paths.mcp_file, self._other_file)

    def require_servers(self, tool_names: Sequence[str]) -> None:
        """Make sure that the other file describes servers, and that there are those of the named tools.

        Raises:
            Qwen3ChatError: a file can't be read, there is no such server, or it can't be used.
        """
        if not tool_names and self._other_file is None:
            return
        from qwen3_chat.tools.tool_source import SOURCE_PREFIX  # here: `rm` offers no tools

        names = [name for name in tool_names if name.startswith(SOURCE_PREFIX)]
        if names or self._other_file is not None:
            servers = self.servers()
            for name in names:
                servers.get(name.removeprefix(SOURCE_PREFIX).partition(".")[0])

    @property
    def tools(self) -> McpTools:
        """The tools of the servers; made when they are first asked for."""
        if self._tools is None:
            from qwen3_chat.mcp.mcp_tools import McpTools
            from qwen3_chat.mcp.server_status import McpTrust
            from qwen3_chat.mcp.tool_pins import PinFile
            from qwen3_chat.tools.permission_file import PermissionFile

            trust = McpTrust(
                PermissionFile(self._paths.permissions_file),
                PinFile(self._paths.mcp_pins_file),
                self._ask,
                self._allowed_names,
                self._allows_all,
                self._fill,
            )
            log = self._paths.logs / "mcp.log"
            self._tools = McpTools(
                self.servers,
                log,
                self._paths.logs,
                os.environ,
                trust,
                chat_folder=self._chat_folder,
                tokens_folder=self._paths.mcp_tokens,
            )
        return self._tools

    async def warm_up(self, names: Sequence[str]) -> None:
        """Start the process that talks to servers, which takes half a second; no server is started."""
        await self.tools.warm_up(names)

    async def prepare(self, names: Sequence[str], report: SourceEventSink) -> None:
        """Start the servers of these names, as far as the user allows them."""
        await self.tools.prepare(names, report)

    def tools_named(self, name: str) -> Sequence[Tool]:
        """Return the tools of a name that are ready."""
        return self._tools.tools_named(name) if self._tools is not None else ()

    def prompts(self) -> Sequence[ServerPrompt]:
        """Return the prompts of all servers that run."""
        return self._tools.prompts() if self._tools is not None else ()

    def resources(self) -> Sequence[ServerResource]:
        """Return the resources of all servers that run."""
        return self._tools.resources() if self._tools is not None else ()

    async def texts_listed(self) -> None:
        """Wait until the servers that run have listed their prompts and resources, for a few seconds."""
        if self._tools is not None:
            await self._tools.texts_listed()

    async def prompt_text(self, prompt: ServerPrompt, arguments: Mapping[str, str]) -> str:
        """Return the text of a prompt with these arguments."""
        return await self.tools.prompt_text(prompt, arguments)

    async def resource_text(self, resource: ServerResource) -> str:
        """Return the text of a resource."""
        return await self.tools.resource_text(resource)

    async def close(self) -> None:
        """End all servers."""
        if self._tools is not None:
            await self._tools.close()
