"""The facts of a message beside its text, as exports write them: model, mode, seed, speed, call."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, tzinfo
from typing import Final

from qwen3_chat.chat import ThinkingMode, ToolCall
from qwen3_chat.store.records import EDITED_CALL, CallRecord, Chat, StoredMessage
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import (
    SEPARATOR,
    format_drafts,
    format_duration,
    format_speed,
    format_thinking,
    format_token_count,
)
from qwen3_chat.texts.terminal_safe import label_of_name, terminal_safe

_MODES: Final = {ThinkingMode.THINK: "export.think", ThinkingMode.NO_THINK: "export.no_think"}
_DENIED: Final = "deny"
_DECISIONS: Final = ("allow", EDITED_CALL, "allowed_by_rule", _DENIED)
"""The values of `tools.consent.Decision` that have a text; a file may hold any."""


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


def facts_line(stored: StoredMessage) -> str:
    """Return the facts of a message in one line; empty where nothing is known.

    They are model, mode, seed and speed of a reply, and the call of a result.
    """
    if stored.meta.call is not None:
        return SEPARATOR.join(_call_facts(stored.meta.call))
    meta = stored.meta
    pieces = [terminal_safe(name) for name in (meta.model, meta.quant, *(meta.adapters or ())) if name]
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
    if meta.timings is not None and (drafts := format_drafts(meta.timings)):
        pieces.append(drafts)
    return SEPARATOR.join(pieces)


def call_heading(call: ToolCall) -> str:
    """Return the line above the arguments of a call; the name comes from a model and may be any text."""
    return t("export.call", name=label_of_name(call.name))


def changed_arguments(stored: StoredMessage) -> str:
    """Return the arguments with which a call ran instead of its own; empty where they were not changed."""
    call = stored.meta.call
    return call.arguments if call is not None and call.decision == EDITED_CALL else ""


def _call_facts(call: CallRecord) -> Iterator[str]:
    yield label_of_name(call.name)
    if call.is_repaired:
        yield t("export.call_repaired")
    if call.decision in _DECISIONS:
        yield t(f"export.decision.{call.decision}")
    if call.is_error and call.decision != _DENIED:
        yield t("export.call_failed")
    if call.elapsed_s > 0:
        yield format_duration(call.elapsed_s)
    if (whole := call.whole) is not None and whole.sha256:
        yield t("export.whole_result", characters=whole.characters, sha256=label_of_name(whole.sha256))
    elif whole is not None:
        yield t("export.whole_result_not_saved", characters=whole.characters)
