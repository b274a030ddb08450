"""What a transcript says about a message besides its text, in the language in use."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Final

from qwen3_chat.chat import Role, StopReason, ThinkingMode
from qwen3_chat.plain import plain
from qwen3_chat.store.records import Chat, StoredMessage
from qwen3_chat.texts import t

SEPARATOR: Final = " · "
_SPEAKERS: Final = {
    Role.SYSTEM: "export.system",
    Role.USER: "export.user",
    Role.ASSISTANT: "export.assistant",
    Role.TOOL: "export.tool",
}
_MODES: Final = {ThinkingMode.THINK: "export.think", ThinkingMode.NO_THINK: "export.no_think"}
_STOPS: Final = {
    StopReason.MAX_TOKENS: "export.max_tokens",
    StopReason.CONTEXT_FULL: "export.context_full",
    StopReason.CANCELLED: "export.cancelled",
    StopReason.ERROR: "export.error",
}


def title(chat: Chat) -> str:
    """Name the chat, in one line."""
    return " ".join(plain(chat.title).split()) or t("export.untitled", chat_id=chat.id)


def date(moment: datetime, zone: tzinfo | None) -> str:
    """Tell a moment to the minute; in the machine's own zone for None."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"


def speaker(role: Role) -> str:
    """Say who speaks."""
    return t(_SPEAKERS[role])


def thought(stored: StoredMessage) -> str:
    """Say how long the thinking took and how much there was of it."""
    meta = stored.meta
    pieces = [t("export.thought")]
    if meta.timings is not None and meta.timings.reasoning_s > 0:
        pieces = [t("export.thought_for", duration=_duration(meta.timings.reasoning_s))]
    if meta.usage is not None and meta.usage.reasoning_tokens:
        pieces.append(t("export.tokens", tokens=meta.usage.reasoning_tokens))
    return SEPARATOR.join(pieces)


def details(stored: StoredMessage) -> str:
    """Say what a message was made with; empty where nothing is known."""
    meta = stored.meta
    pieces = [plain(name) for name in (meta.model, meta.quant) if name]
    if meta.mode is not None:
        pieces.append(t(_MODES[meta.mode]))
    if stored.message.mode_tag is not None:
        pieces.append(stored.message.mode_tag.tag)
    if meta.seed is not None:
        pieces.append(t("export.seed", seed=meta.seed))
    if meta.usage is not None:
        pieces.append(t("export.tokens", tokens=meta.usage.reasoning_tokens + meta.usage.answer_tokens))
    if meta.timings is not None and meta.timings.tokens_per_s > 0:
        pieces.append(t("export.speed", tokens_per_s=f"{meta.timings.tokens_per_s:.3g}"))
    return SEPARATOR.join(pieces)


def stop_note(stored: StoredMessage) -> str:
    """Say why a reply ended before its end; empty where it did not."""
    reason = stored.stop_reason
    return t(_STOPS[reason]) if reason in _STOPS else ""


def _duration(seconds: float) -> str:
    if seconds < 10:
        return t("export.seconds", seconds=f"{seconds:.1f}")
    minutes, rest = divmod(round(seconds), 60)
    return (
        t("export.minutes", minutes=minutes, seconds=rest) if minutes else t("export.seconds", seconds=rest)
    )
