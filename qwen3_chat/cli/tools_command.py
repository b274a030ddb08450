"""`qwen3-chat tools`: the tools that the model may call."""

from __future__ import annotations

import msgspec

from qwen3_chat.cli.json_output import print_json
from qwen3_chat.texts import t
from qwen3_chat.tools.built_in_tools import BUILT_IN_TOOLS, Toolbox
from qwen3_chat.tools.tool import Reach, Tool

CHARS_PER_TOKEN = 3.5
"""The characters of a schema in English that make a token of Qwen3, roughly."""


class ToolRow(msgspec.Struct, frozen=True):
    """A tool in the output of `tools --json`; `schema_tokens` is an estimate."""

    name: str
    source: str
    state: str
    schema_tokens: int
    consent: str


def list_tools(*, as_json: bool) -> None:
    """Print the tools, each with what it costs and whether it asks."""
    tools = Toolbox().registry(tuple(BUILT_IN_TOOLS)).tools
    if as_json:
        print_json([_row(tool) for tool in tools])
        return
    width = max(len(tool.name) for tool in tools)
    for tool in tools:
        consent = t(f"cli.tool_consent.{_row(tool).consent}")
        print(f"{tool.name:{width}}  {consent}  {t(f'tool.{tool.name}.about')}")


def _row(tool: Tool) -> ToolRow:
    tokens = round(len(tool.spec.schema) / CHARS_PER_TOKEN)
    consent = "allow" if tool.reach is Reach.NOTHING else "ask"
    return ToolRow(tool.name, "built_in", "ready", tokens, consent)
