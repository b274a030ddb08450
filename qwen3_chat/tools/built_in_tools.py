"""The tools that come with the app, by name; each is imported and made when it is first offered."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Final

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.tools.tool import Tool, ToolRegistry
from qwen3_chat.tools.tool_settings import DEFAULT_TOOL_SETTINGS, ToolSettings
from qwen3_chat.tools.tool_source import SOURCE_PREFIX, SourceEventSink, ToolSource

if TYPE_CHECKING:
    from qwen3_chat.tools.python_tool import PythonTool

BUILT_IN_TOOLS: Final[Mapping[str, str]] = {
    "now": "qwen3_chat.tools.clock:clock_tool",
    "calculator": "qwen3_chat.tools.calculator:calculator_tool",
    "python": "qwen3_chat.tools.python_tool:PythonTool",
    "read_file": "qwen3_chat.tools.file_tools:read_file_tool",
    "list_files": "qwen3_chat.tools.file_tools:list_files_tool",
    "fetch": "qwen3_chat.tools.fetch_tool:fetch_tool",
}
"""The function or class that makes each tool, as `module:function`, by the name of the tool."""

PYTHON: Final = "python"
FILES_WRITTEN: Final = "[Files written: "
"""The beginning of the line of its result that names files."""
_WITHOUT_SETTINGS: Final = ("now", "calculator")

_OUTSIDE_NAME: Final = re.compile(r"mcp:[A-Za-z0-9_-]{1,40}(?:\.[^\s,]{1,200})?")


class Toolbox:
    """All tools that there are; a tool is made once, `python` once for each chat."""

    def __init__(
        self, settings: ToolSettings = DEFAULT_TOOL_SETTINGS, source: ToolSource | None = None
    ) -> None:
        """Make a toolbox with the built-in tools and those of a source, if there is one."""
        self._settings = settings
        self._source = source
        self._made: dict[str, Tool] = {}
        self._python: PythonTool | None = None

    def registry(self, names: Sequence[str], chat_id: int | None = None) -> ToolRegistry:
        """Return the tools of these names for a chat, in their order; a name without a tool has none here.

        A chat may name a tool of another version of the app, or one that is off on this machine.
        """
        return ToolRegistry([tool for name in names for tool in self._tools_named(name, chat_id)])

    async def warm_up(self, names: Sequence[str]) -> None:
        """Begin what the tools of these names will need, so that they are ready sooner."""
        outside = [name for name in names if name.startswith(SOURCE_PREFIX)]
        if outside and self._source is not None:
            await self._source.warm_up(outside)

    async def prepare(self, names: Sequence[str], report: SourceEventSink) -> None:
        """Make the tools of these names ready that need it; what fails is reported."""
        outside = [name for name in names if name.startswith(SOURCE_PREFIX)]
        if outside and self._source is not None:
            await self._source.prepare(outside, report)

    def _tools_named(self, name: str, chat_id: int | None) -> Sequence[Tool]:
        if name.startswith(SOURCE_PREFIX) and self._source is not None:
            return self._source.tools_named(name)
        return [tool] if (tool := self._tool(name, chat_id)) else []

    async def close(self) -> None:
        """End the processes of tools."""
        if self._python is not None:
            await self._python.close()

    def _tool(self, name: str, chat_id: int | None) -> Tool | None:
        if name == PYTHON and name not in self._made:
            return self._python_tool(chat_id)
        if name in BUILT_IN_TOOLS and name not in self._made:
            module, _, function = BUILT_IN_TOOLS[name].partition(":")
            make: Callable[..., Tool] = getattr(import_module(module), function)
            self._made[name] = make() if name in _WITHOUT_SETTINGS else make(self._settings)
        return self._made.get(name)

    def _python_tool(self, chat_id: int | None) -> Tool | None:
        from qwen3_chat.tools.python_tool import PythonTool, python_problem

        if self._python is None:
            if python_problem(self._settings) is not None:
                return None
            self._python = PythonTool(self._settings)
        return self._python.for_chat(chat_id)


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
