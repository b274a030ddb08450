"""Stored messages as entries of the transcript: headers and notes in the user's language."""

from __future__ import annotations

from qwen3_chat.chat import ChatMessage, Role, StopReason, Timings, Usage
from qwen3_chat.store.records import MessageMeta, StoredMessage
from qwen3_chat.texts import t
from qwen3_chat.transcript.entry import Entry
from qwen3_chat.ui.wording import duration

NOTICE = "notice"
"""The role of an entry that the app itself writes."""


def thought_header(seconds: float, tokens: int) -> str:
    """Write the header of finished thinking: `Thought 14 s · 612 tok · 43 tok/s`."""
    parts = [t("ui.thought", duration=duration(seconds)) if seconds else t("ui.thought_untimed")]
    if tokens:
        parts.append(t("ui.tokens", count=tokens))
    if seconds and tokens:
        parts.append(t("ui.speed", speed=f"{tokens / seconds:.0f}"))
    return " · ".join(parts)


def thinking_header(seconds: float, tokens: int) -> str:
    """Write the header while the model thinks."""
    parts = [t("ui.thinking", duration=duration(seconds)), t("ui.tokens", count=tokens)]
    if seconds >= 1:
        parts.append(t("ui.speed", speed=f"{tokens / seconds:.0f}"))
    return " · ".join(parts)


def role_header(role: Role, meta: MessageMeta | None = None) -> str:
    """Write who speaks."""
    if role is Role.ASSISTANT and meta is not None and meta.model:
        return meta.model
    return t(f"ui.role.{role.value}")


def note(reason: StopReason | None) -> str:
    """Write why a reply ended, where that is not as it should be."""
    match reason:
        case StopReason.END_OF_TURN | StopReason.TOOL_CALLS:
            return ""
        case None:
            return t("ui.note.interrupted")
        case _:
            return t(f"ui.note.{reason.value}")


def entry_of(stored: StoredMessage) -> Entry:
    """Make the entry of a stored message."""
    message, meta = stored.message, stored.meta
    is_reply = message.role is Role.ASSISTANT
    usage, timings = meta.usage or Usage(), meta.timings or Timings()
    return Entry(
        role=message.role.value,
        answer=_shown_content(message),
        reasoning=message.reasoning,
        header=role_header(message.role, meta),
        reasoning_header=thought_header(timings.reasoning_s, usage.reasoning_tokens)
        if message.reasoning
        else "",
        note=note(meta.stop_reason) if is_reply else "",
    )


def _shown_content(message: ChatMessage) -> str:
    calls = "\n\n".join(f"```json\n{call.name}({call.arguments})\n```" for call in message.tool_calls)
    return "\n\n".join(part for part in (message.sent_content, calls) if part)
