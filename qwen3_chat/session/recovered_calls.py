"""Calls that a reply holds outside the form that a splitter reads: unreadable, untagged, in open thinking."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from qwen3_chat.chat import ChatMessage, ToolCall
from qwen3_chat.engine.tool_call_parser import MAX_CALL_CHARS, parse_calls

_BLOCK: Final = re.compile(r"\s*<tool_call>(.*?)(?:</tool_call>\s*|\Z)", re.DOTALL)
_NAME: Final = re.compile(r'"name"\s*:\s*"([\w.:/-]{1,100})"|<function=([\w.:/-]{1,100})>')


def recover_calls(message: ChatMessage, tool_names: Collection[str]) -> ChatMessage:
    """Return a reply with the calls that its text holds moved to its calls, each marked as repaired.

    A block that can't be read becomes a call whose arguments are its text, so that model and user are told.
    A bare JSON object counts only if it is the whole answer and names tools on offer.
    """
    if message.tool_calls or not tool_names:
        return message
    if "<tool_call>" in message.content:
        content, calls = _split_blocks(message.content)
        return replace(message, content=content, tool_calls=calls)
    if not message.content.strip():
        if "<tool_call>" not in message.reasoning:
            return message
        reasoning, calls = _split_blocks(message.reasoning)
        return replace(message, reasoning=reasoning, tool_calls=calls)
    if message.content.lstrip().startswith(("{", "[", "```")) and len(message.content) <= MAX_CALL_CHARS:
        calls = _repaired(parse_calls(message.content))
        if calls and all(call.name in tool_names for call in calls):
            return replace(message, content="", tool_calls=calls)
    return message


def _split_blocks(text: str) -> tuple[str, tuple[ToolCall, ...]]:
    """Return the text before the first block, and the calls of all blocks; text between them is dropped."""
    start = text.index("<tool_call>")
    calls = list[ToolCall]()
    for block in _BLOCK.finditer(text, start):
        source = block[1]
        calls += _repaired(parse_calls(source)) or (_unreadable(source),)
    return text[:start].rstrip("\n"), tuple(calls)


def _repaired(calls: tuple[ToolCall, ...]) -> tuple[ToolCall, ...]:
    return tuple(replace(call, is_repaired=True) for call in calls)


def _unreadable(source: str) -> ToolCall:
    name = _NAME.search(source)
    return ToolCall((name[1] or name[2]) if name else "?", source.strip(), is_repaired=True)
