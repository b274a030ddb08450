"""The tools that come with the app, by name; each is imported and made when it is first offered."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Final

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.tools.tool import Tool, ToolRegistry
from qwen3_chat.tools.tool_source import SOURCE_PREFIX, SourceEventSink, ToolSource

BUILT_IN_TOOLS: Final[Mapping[str, str]] = {
    "now": "qwen3_chat.tools.clock:clock_tool",
    "calculator": "qwen3_chat.tools.calculator:calculator_tool",
}
"""The function that makes each tool, as `module:function`, by the name of the tool."""

_OUTSIDE_NAME: Final = re.compile(r"mcp:[A-Za-z0-9_-]{1,40}(?:\.[^\s,]{1,200})?")


class Toolbox:
    """All tools that there are; a tool is made once."""

    def __init__(self, source: ToolSource | None = None) -> None:
        """Make a toolbox with the built-in tools and those of a source, if there is one."""
        self._made: dict[str, Tool] = {}
        self._source = source

    def registry(self, names: Sequence[str]) -> ToolRegistry:
        """Return the tools of these names, in their order; a name without a tool has none here.

        A chat may name a tool of another version of the app.
        """
        return ToolRegistry([tool for name in names for tool in self._tools_named(name)])

    async def prepare(self, names: Sequence[str], report: SourceEventSink) -> None:
        """Make the tools of these names ready that need it; what fails is reported."""
        outside = [name for name in names if name.startswith(SOURCE_PREFIX)]
        if outside and self._source is not None:
            await self._source.prepare(outside, report)

    def _tools_named(self, name: str) -> Sequence[Tool]:
        if name.startswith(SOURCE_PREFIX) and self._source is not None:
            return self._source.tools_named(name)
        return [tool] if (tool := self._tool(name)) else []

    def _tool(self, name: str) -> Tool | None:
        if name in BUILT_IN_TOOLS and name not in self._made:
            module, _, function = BUILT_IN_TOOLS[name].partition(":")
            make: Callable[[], Tool] = getattr(import_module(module), function)
            self._made[name] = make()
        return self._made.get(name)


def parse_tool_names(text: str) -> tuple[str, ...]:
    """Return the names in a list such as `now,mcp:time`; none for `none`.

    Whether there is such a server is not known here.

    Raises:
        UsageError: there is no tool of a name.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if names == ("none",):
        return ()
    for name in names:
        if name not in BUILT_IN_TOOLS and not _OUTSIDE_NAME.fullmatch(name):
            raise UsageError(ErrorCode.TOOL_UNKNOWN, name=name, names=", ".join(BUILT_IN_TOOLS))
    return names
