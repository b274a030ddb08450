"""Stored messages as entries of the transcript: headers and notes in the user's language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qwen3_chat import wording
from qwen3_chat.attachments import parted
from qwen3_chat.chat import ChatMessage, Role, Timings, Usage
from qwen3_chat.session.variants import Variants
from qwen3_chat.store.records import MessageMeta, StoredMessage
from qwen3_chat.texts import t
from qwen3_chat.transcript.entry import Entry

LOCAL_ENGINE = "llama.cpp"
"""What the replies of this machine's own engine are marked with."""

NOTICE = "notice"
"""The role of an entry that the app itself writes."""


def thought_header(seconds: float, count: int) -> str:
    """Write the header of finished thinking: `Thought 14 s · 612 tok · 43 tok/s`."""
    return wording.SEPARATOR.join([wording.thought(seconds, count), *_speed(seconds, count)])


def live_header(key: str, seconds: float, count: int) -> str:
    """Write what the model is at: `Thinking 3 s · 129 tok · 43 tok/s`."""
    parts = [t(key, duration=wording.duration(seconds)), wording.tokens(count)]
    return wording.SEPARATOR.join([*parts, *(_speed(seconds, count) if seconds >= 1 else ())])


def _speed(seconds: float, count: int) -> list[str]:
    return [wording.speed(count / seconds)] if seconds > 0 and count else []


def role_header(role: Role, meta: MessageMeta | None = None) -> str:
    """Write who speaks: a reply's model where it is known, with the server that ran it."""
    if role is Role.ASSISTANT and meta is not None and meta.model:
        is_served = meta.engine not in (None, LOCAL_ENGINE)
        return f"{meta.model} · {meta.engine}" if is_served else meta.model
    return wording.speaker(role)


def versioned_header(stored: StoredMessage, versions: Variants) -> str:
    """Write who speaks, and which version of how many this is."""
    count = t("ui.status.variant", shown=versions.shown + 1, count=versions.count)
    return wording.SEPARATOR.join((role_header(stored.message.role, stored.meta), count))


def entry_of(stored: StoredMessage) -> Entry:
    """Make the entry of a stored message."""
    message, meta = stored.message, stored.meta
    usage, timings = meta.usage or Usage(), meta.timings or Timings()
    return Entry(
        role=message.role.value,
        answer=_shown_content(message),
        reasoning=message.reasoning,
        header=role_header(message.role, meta),
        reasoning_header=thought_header(timings.reasoning_s, usage.reasoning_tokens)
        if message.reasoning
        else "",
        note=wording.stop_note(stored.stop_reason),
        key=stored.id,
    )


def entries_of(branch: Sequence[StoredMessage]) -> list[Entry]:
    """Make the entries of a branch; what its latest reply was written without is greyed, the reason below."""
    entries = [entry_of(stored) for stored in branch]
    meta = next((m.meta for m in reversed(branch) if m.message.role is Role.ASSISTANT), None)
    if meta is None or not meta.left_out:
        return entries
    count = meta.left_out
    greyed = [replace(entry, left_out=t("ui.note.not_sent")) for entry in entries[:count]]
    sentence = t("ui.context.summary" if meta.summary else "ui.context.left_out", count=count)
    notice = Entry(NOTICE, "\n\n".join(part for part in (sentence, meta.summary) if part))
    return [*greyed, notice, *entries[count:]]


def _shown_content(message: ChatMessage) -> str:
    calls = "\n\n".join(f"```json\n{call.name}({call.arguments})\n```" for call in message.tool_calls)
    return "\n\n".join(part for part in (_folded(message), calls) if part)


def _folded(message: ChatMessage) -> str:
    """Return what was written, with one line for each attachment: its text is long, and the user knows it."""
    typed, attachments = parted(message.content) if message.role is Role.USER else (message.content, ())
    if not attachments:
        return message.sent_content
    lines = "\n".join(
        f"▤ {one.name}{wording.SEPARATOR}{wording.lines(one.line_count)}  " for one in attachments
    )
    tag = message.mode_tag.tag if message.mode_tag else ""
    return "\n\n".join(part for part in (typed, lines, tag) if part)
