"""A chat as Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo

from qwen3_chat.chat import Role
from qwen3_chat.export import facts
from qwen3_chat.export.containment import contained, fenced
from qwen3_chat.export.kinds import ThinkingStyle
from qwen3_chat.plain import plain
from qwen3_chat.store.records import Chat, StoredMessage
from qwen3_chat.texts import t
from qwen3_chat.wording import speaker, stop_note


def render(
    chat: Chat, messages: Sequence[StoredMessage], thinking: ThinkingStyle, zone: tzinfo | None
) -> str:
    """Return the chat with a heading per message, its text as it was written, and how it came about."""
    blocks = [f"# {escaped(facts.title(chat))}", _small(facts.date(chat.created_at, zone))]
    if chat.system:
        blocks += [f"## {speaker(Role.SYSTEM)}", contained(plain(chat.system))]
    for stored in messages:
        blocks += _message(stored, thinking)
    return "\n\n".join(blocks) + "\n"


def escaped(text: str) -> str:
    """Escape what Markdown would read as syntax inside a line."""
    return re.sub(r"([\\`*_\[\]<>#&~|!])", r"\\\1", text)


def _message(stored: StoredMessage, thinking: ThinkingStyle) -> Iterator[str]:
    message = stored.message
    yield f"## {speaker(message.role)}"
    if message.reasoning.strip() and thinking is not ThinkingStyle.NONE:
        header = facts.thought(stored)
        block = fenced(plain(message.reasoning))
        if thinking is ThinkingStyle.FOLDED:
            yield f"<details>\n<summary>{html.escape(header)}</summary>\n\n{block}\n\n</details>"
        else:
            yield f"**{escaped(header)}**\n\n{block}"
    content = plain(message.content).strip("\n")
    if content.strip():
        yield fenced(content) if message.role is Role.TOOL else contained(content)
    for call in message.tool_calls:
        yield f"{t('export.call', name=escaped(plain(call.name)))}\n\n{fenced(plain(call.arguments), 'json')}"
    if note := stop_note(stored.stop_reason):
        yield f"*{note}*"
    if details := facts.details(stored):
        yield _small(details)


def _small(text: str) -> str:
    return f"<sub>{escaped(text)}</sub>"
