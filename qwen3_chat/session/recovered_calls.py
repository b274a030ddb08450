"""Calls that a reply holds outside the form that a splitter reads: unreadable, untagged, in open thinking."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from qwen3_chat.chat import ChatMessage, ToolCall
from qwen3_chat.engine.tool_call_parser import MAX_CALL_CHARS, parse_calls
from qwen3_chat.record_copies import replace
from qwen3_chat.tools.tool_runner import is_json_object

_BLOCK: Final = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_END: Final = "</tool_call>"
_BEGINNING: Final = re.compile(r"^(?:[{\[]|```|<function=)", re.MULTILINE)
_NAME: Final = re.compile(r'"name"\s*:\s*"([\w.:/-]{1,100})"|<function=([\w.:/-]{1,100})>')


def recover_calls(message: ChatMessage, tool_names: Collection[str]) -> ChatMessage:
    """Return a reply with the calls that its text holds moved to its calls, each marked as repaired.

    A block that can't be read becomes a call whose arguments are its text, so that model and user are told.
    A call without its first tag counts only if it names tools on offer and is the whole answer, or if the
    last tag shows where it ends.
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
    before, source = _bare_call(message.content)
    calls = _repaired(parse_calls(source)) if source else ()
    if calls and all(call.name in tool_names for call in calls):
        return replace(message, content=before, tool_calls=calls)
    return message


def _bare_call(content: str) -> tuple[str, str]:
    """Return the text before a call that has no first tag, and the call; both empty where there is none."""
    if len(content) > MAX_CALL_CHARS:
        return "", ""
    text = content.strip()
    source = text.removesuffix(_END)
    beginning = _BEGINNING.search(source)
    if beginning is None or (beginning.start() > 0 and source == text):
        return "", ""
    return source[: beginning.start()].rstrip("\n"), source[beginning.start() :]


def _split_blocks(text: str) -> tuple[str, tuple[ToolCall, ...]]:
    """Return the text around the blocks, and the calls of all blocks."""
    calls, around, end = list[ToolCall](), list[str](), 0
    for block in _BLOCK.finditer(text):
        calls += _repaired(parse_calls(block[1])) or (_unreadable(block[1]),)
        around.append(text[end : block.start()])
        end = block.end()
    parts = (part.strip("\n") for part in (*around, text[end:]))
    return "\n\n".join(part for part in parts if part.strip()), tuple(calls)


def _repaired(calls: tuple[ToolCall, ...]) -> tuple[ToolCall, ...]:
    return tuple(replace(call, is_repaired=True) for call in calls)


def _unreadable(source: str) -> ToolCall:
    """Return a call whose arguments are its text; where that is JSON by itself, with the tag before it."""
    name, text = _NAME.search(source), source.strip()
    if is_json_object(text):
        text = f"<tool_call>\n{text}"  # or the whole of it would pass for the arguments
    return ToolCall((name[1] or name[2]) if name else "?", text, is_repaired=True)
