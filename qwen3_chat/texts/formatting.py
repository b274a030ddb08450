"""Sizes, durations, counts and speeds as people read them, and sizes as people type them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from qwen3_chat.chat import ChatMessage, Role, Shortfall, StopReason, Timings, find_shortfall
from qwen3_chat.texts import Language, current_language, t

GIB = 1 << 30
MIB = 1 << 20
SEPARATOR = " · "

_DECIMAL_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_MAX_SIZE_BYTES = 1 << 50
_SIZE_PATTERN = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_SELF_EXPLAINED = (Shortfall.CANCELLED, Shortfall.ERROR)
"""The shortfalls that need no way out: the user stopped the reply, or was told about the error."""


def parse_size(text: str) -> int | None:
    """Return the bytes of `8GiB`, `8 gb`, `512MiB` or a plain number; None where it is none up to 1 PiB."""
    match = _SIZE_PATTERN.fullmatch(text.strip())
    if not match or (match[3] and not match[2]):
        return None
    unit = match[2].upper()
    size_bytes = float(match[1]) * (_BINARY_UNITS[unit] if match[3] else _DECIMAL_UNITS[unit])
    return int(size_bytes) if size_bytes <= _MAX_SIZE_BYTES else None


def format_size(size_bytes: int, digits: int = 1) -> str:
    """Return a size as text: `5.9 GiB`, `131 GiB`, `640 MiB`, `12 KiB`; below 100 GiB with so many `digits`."""
    if 0 < size_bytes < MIB:
        return f"{max(1, round(size_bytes / 1024))} KiB"
    if size_bytes < GIB:
        return f"{size_bytes / MIB:.0f} MiB"
    if size_bytes >= 100 * GIB:
        digits = 0
    return f"{size_bytes / GIB:.{digits}f} GiB"


def either(words: Sequence[str]) -> str:
    """Return what to choose from: `1, 2 or 3` in the language in use; the only word as it is."""
    *others, last = words
    return t("wording.either", words=join_names(others), last=last) if others else last


def join_names(names: Iterable[str]) -> str:
    """Join names with the comma of the language in use."""
    return t("wording.comma").join(names)


def join_sentences(parts: Iterable[object]) -> str:
    """Join sentences with the gap of the language in use."""
    return t("wording.gap").join(map(str, parts))


def format_duration(seconds: float) -> str:
    """Return a duration as text: `<0.1 s`, `0.4 s`, `14 s`, `2 min 5 s`."""
    if 0 < seconds < 0.05:
        return t("wording.seconds", seconds="<0.1")
    if seconds < 9.95:
        return t("wording.seconds", seconds=f"{seconds:.1f}")
    minutes, rest = divmod(round(seconds), 60)
    if minutes:
        return t("wording.minutes", minutes=minutes, seconds=rest)
    return t("wording.seconds", seconds=rest)


def format_rough_duration(seconds: float) -> str:
    """Return a predicted duration as text, with no more digits than are certain: `3 s`, `25 s`, `7 min`."""
    if seconds >= 90:
        return t("wording.rough_minutes", minutes=round(seconds / 60))
    step = 1 if seconds < 10 else 5
    return t("wording.seconds", seconds=max(1, step * round(seconds / step)))


def format_line_count(count: int) -> str:
    """Return a number of lines as text."""
    return t("wording.line") if count == 1 else t("wording.lines", count=f"{count:,}")


def format_message_count(count: int) -> str:
    """Return a number of messages as text."""
    return t("wording.message") if count == 1 else t("wording.messages", count=f"{count:,}")


def format_token_count(count: int) -> str:
    """Return a number of tokens as text."""
    return t("wording.tokens", count=count)


def format_speed(tokens_per_s: float) -> str:
    """Return a speed as text: `3.4 tok/s`, `43 tok/s`."""
    return t("wording.speed", speed=speed_figure(tokens_per_s))


def format_drafts(timings: Timings) -> str:
    """Return what a draft model brought a reply, and how often it paused; empty where it tried nothing."""
    if not timings.drafted_tokens:
        return t("wording.no_drafts") if timings.draft_pauses else ""
    drafts = t("wording.drafts", **draft_figures(timings), speedup=f"{timings.draft_speedup:.2f}")
    if not timings.draft_pauses:
        return drafts
    return t("wording.drafts_paused", drafts=drafts, count=timings.draft_pauses)


def draft_figures(timings: Timings) -> dict[str, str | int]:
    """Return the share of drafted tokens that were accepted, and the tokens of a step with a draft."""
    n_steps = max(1, timings.draft_steps)
    return {
        "percent": round(100 * timings.accepted_tokens / max(1, timings.drafted_tokens)),
        "tokens": f"{(timings.accepted_tokens + n_steps) / n_steps:.1f}",
    }


def speed_figure(tokens_per_s: float) -> str:
    """Write the number of a speed with as many digits as are certain: `1.4`, `12`, `140`."""
    return f"{tokens_per_s:.1f}" if tokens_per_s < 9.95 else f"{tokens_per_s:.0f}"


def format_throughput(bytes_per_s: float) -> str:
    """Return a speed in bytes as text: `640 KiB/s`, `11.2 MiB/s`."""
    kib = bytes_per_s / 1024
    return t("wording.byte_speed", size=f"{kib:.0f} KiB" if kib < 999.5 else f"{kib / 1024:.1f} MiB")


def format_thinking(seconds: float, count: int) -> str:
    """Return the duration of the thinking and its number of tokens as text; 0 means unknown."""
    parts = [
        t("wording.thought_for", duration=format_duration(seconds)) if seconds > 0 else t("wording.thought")
    ]
    if count:
        parts.append(format_token_count(count))
    return SEPARATOR.join(parts)


def role_name(role: Role) -> str:
    """Return the name of a role in the language in use."""
    return t(f"wording.role.{role.value}")


def stop_note(reply: ChatMessage, reason: StopReason | None) -> str:
    """Return the note on a reply that is not a whole answer; empty where it is one."""
    shortfall = find_shortfall(reply, reason)
    return "" if shortfall is None else t(f"wording.{shortfall}")


def stop_advice(reply: ChatMessage, reason: StopReason | None, way_out: str) -> str:
    """Return the note on a reply with the way out, whose texts have keys that begin with `way_out`."""
    note = stop_note(reply, reason)
    shortfall = find_shortfall(reply, reason)
    if shortfall is None or shortfall in _SELF_EXPLAINED:
        return note
    return join_sentences((note, t(f"{way_out}{shortfall}")))


def format_parameter_count(count: int) -> str:
    """Return a number of parameters as text: `2.1 M`, `0.6 B`, `32.8 B`; in Chinese `210 万`, `6 亿`."""
    if current_language() is Language.ZH:
        if count < 100_000_000:
            return f"{count / 1e4:.0f} 万"
        return f"{count / 1e8:.1f}".removesuffix(".0") + " 亿"
    if count < 100_000_000:
        return f"{count / 1e6:.1f} M"
    return f"{count / 1e9:.1f} B"


def format_day(moment: datetime, now: datetime) -> str:
    """Return the time of a moment today, else its date; both in local time."""
    if moment.date() == now.date():
        return moment.strftime("%H:%M")
    if moment.date() == (now - timedelta(days=1)).date():
        return t("ui.yesterday")
    return moment.strftime("%Y-%m-%d")
