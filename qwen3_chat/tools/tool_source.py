"""A source of tools beside the built-in ones, such as MCP servers, as sessions see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from qwen3_chat.events import Event, Notice
from qwen3_chat.tools.tool import Tool

SOURCE_PREFIX: Final = "mcp:"
"""The beginning of the names of all tools that are not built in."""


class ToolServerStarting(Event, frozen=True):
    """A server of tools that starts now, which may take a while."""

    name: str


SourceEventSink = Callable[[Notice | ToolServerStarting], None]
"""A function that takes what the user is told at once; it never waits."""


class ToolSource(Protocol):
    """A source of tools that have to be made ready before they can be offered."""

    async def warm_up(self, names: Sequence[str]) -> None:
        """Begin what the tools of these names will need, in so far as nobody has to be asked for it."""
        ...

    async def prepare(self, names: Sequence[str], report: SourceEventSink) -> None:
        """Make the tools of these names ready, as far as that is possible and allowed."""
        ...

    def tools_named(self, name: str) -> Sequence[Tool]:
        """Return the tools of a name that are ready: one, or all of a group."""
        ...
