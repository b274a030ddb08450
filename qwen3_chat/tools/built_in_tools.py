"""The tools that come with the app, by name; each is imported and made when it is first offered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Final

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.tools.tool import Tool, ToolRegistry

BUILT_IN_TOOLS: Final[Mapping[str, str]] = {
    "now": "qwen3_chat.tools.clock:clock_tool",
    "calculator": "qwen3_chat.tools.calculator:calculator_tool",
}
"""The function that makes each tool, as `module:function`, by the name of the tool."""


class Toolbox:
    """All tools that there are; a tool is made once."""

    def __init__(self) -> None:
        self._made: dict[str, Tool] = {}

    def registry(self, names: Sequence[str]) -> ToolRegistry:
        """Return the tools of these names, in their order; a name without a tool has none here.

        A chat may name a tool of another version of the app.
        """
        return ToolRegistry([tool for name in names if (tool := self._tool(name))])

    def _tool(self, name: str) -> Tool | None:
        if name in BUILT_IN_TOOLS and name not in self._made:
            module, _, function = BUILT_IN_TOOLS[name].partition(":")
            make: Callable[[], Tool] = getattr(import_module(module), function)
            self._made[name] = make()
        return self._made.get(name)


def parse_tool_names(text: str) -> tuple[str, ...]:
    """Return the names in a list such as `now,calculator`; none for `none`.

    Raises:
        UsageError: there is no tool of a name.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if names == ("none",):
        return ()
    for name in names:
        if name not in BUILT_IN_TOOLS:
            raise UsageError(ErrorCode.TOOL_UNKNOWN, name=name, names=", ".join(BUILT_IN_TOOLS))
    return names
