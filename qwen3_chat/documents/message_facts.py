"""The facts of a message beside its text, as exports write them: model, mode, seed, speed."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Final

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.store.records import Chat, StoredMessage
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR, format_speed, format_thinking, format_token_count
from qwen3_chat.texts.terminal_safe import terminal_safe

_MODES: Final = {ThinkingMode.THINK: "export.think", ThinkingMode.NO_THINK: "export.no_think"}


def chat_title(chat: Chat) -> str:
    """Return the title of the chat, in one line."""
    return " ".join(terminal_safe(chat.title).split()) or t("export.untitled", chat_id=chat.id)


def local_date(moment: datetime, zone: tzinfo | None) -> str:
    """Return date and time to the minute, in `zone`; None is the machine's own."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"


def thinking_line(stored: StoredMessage) -> str:
    """Return the duration of the thinking and its number of tokens, in one line."""
    meta = stored.meta
    seconds = meta.timings.reasoning_s if meta.timings else 0.0
    return format_thinking(seconds, meta.usage.reasoning_tokens if meta.usage else 0)


def generation_line(stored: StoredMessage) -> str:
    """Return model, mode, seed and speed of a message, in one line; empty where nothing is known."""
    meta = stored.meta
    pieces = [terminal_safe(name) for name in (meta.model, meta.quant) if name]
    if meta.mode is not None:
        pieces.append(t(_MODES[meta.mode]))
    if stored.message.mode_tag is not None:
        pieces.append(stored.message.mode_tag.tag)
    if meta.seed is not None:
        pieces.append(t("export.seed", seed=meta.seed))
    if meta.usage is not None:
        pieces.append(format_token_count(meta.usage.reasoning_tokens + meta.usage.answer_tokens))
    if meta.timings is not None and meta.timings.tokens_per_s > 0:
        pieces.append(format_speed(meta.timings.tokens_per_s))
    return SEPARATOR.join(pieces)
