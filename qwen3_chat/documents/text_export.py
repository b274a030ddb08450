"""A chat as plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import tzinfo

from qwen3_chat.chat import Role
from qwen3_chat.documents.export_options import ThinkingStyle
from qwen3_chat.documents.message_facts import (
    call_heading,
    changed_arguments,
    chat_title,
    facts_line,
    local_date,
    thinking_line,
)
from qwen3_chat.store.records import Chat, StoredMessage
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import role_name, stop_note
from qwen3_chat.texts.terminal_safe import terminal_safe


def render_text(
    chat: Chat, messages: Sequence[StoredMessage], thinking: ThinkingStyle, zone: tzinfo | None
) -> str:
    """Return the chat as blocks of text, each message under its role."""
    blocks = [f"{chat_title(chat)}\n{local_date(chat.created_at, zone)}"]
    if chat.system:
        blocks.append(f"{_heading(Role.SYSTEM)}\n{_body(chat.system)}")
    for stored in messages:
        first, *rest = _message(stored, thinking)
        blocks += [f"{_heading(stored.message.role)}\n{first}", *rest]
    return "\n\n".join(blocks) + "\n"


def _message(stored: StoredMessage, thinking: ThinkingStyle) -> list[str]:
    return list(_blocks(stored, thinking)) or [""]


def _blocks(stored: StoredMessage, thinking: ThinkingStyle) -> Iterator[str]:
    message = stored.message
    if message.reasoning.strip() and thinking is not ThinkingStyle.NONE:
        header = f"({thinking_line(stored)})"
        full = thinking is ThinkingStyle.FULL
        yield f"{header}\n{_indented(message.reasoning)}" if full else header
    if arguments := changed_arguments(stored):
        yield f"{t('export.changed_arguments')}\n{_indented(arguments)}"
    if message.content.strip():
        # indented, so that no line of a result looks like the beginning of a message
        yield _indented(message.content) if message.role is Role.TOOL else _body(message.content)
    for call in message.tool_calls:
        yield f"{call_heading(call)}\n{_indented(call.arguments)}"
    if note := stop_note(stored.message, stored.stop_reason):
        yield f"({note})"
    if details := facts_line(stored):
        yield f"({details})"


def _heading(role: Role) -> str:
    return f"[{role_name(role)}]"


def _indented(text: str) -> str:
    return textwrap.indent(_body(text), "    ")


def _body(text: str) -> str:
    return terminal_safe(text).strip("\n")
