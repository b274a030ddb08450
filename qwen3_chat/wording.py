"""How facts about a reply are written for people, on screen as in exports."""

from __future__ import annotations

from collections.abc import Iterable

from qwen3_chat.chat import Role, StopReason
from qwen3_chat.texts import t

SEPARATOR = " · "
_NOTES = {
    StopReason.MAX_TOKENS: "wording.max_tokens",
    StopReason.CONTEXT_FULL: "wording.context_full",
    StopReason.CANCELLED: "wording.cancelled",
    StopReason.ERROR: "wording.error",
}


def sentences(parts: Iterable[object]) -> str:
    """Write sentences one after the other, as the language does."""
    return t("wording.gap").join(map(str, parts))


def duration(seconds: float) -> str:
    """Write a duration: `<0.1 s`, `0.4 s`, `14 s`, `2 min 5 s`."""
    if 0 < seconds < 0.05:
        return t("wording.seconds", seconds="<0.1")
    if seconds < 9.95:
        return t("wording.seconds", seconds=f"{seconds:.1f}")
    minutes, rest = divmod(round(seconds), 60)
    if minutes:
        return t("wording.minutes", minutes=minutes, seconds=rest)
    return t("wording.seconds", seconds=rest)


def lines(count: int) -> str:
    """Write a number of lines."""
    return t("wording.line") if count == 1 else t("wording.lines", count=f"{count:,}")


def tokens(count: int) -> str:
    """Write a number of tokens."""
    return t("wording.tokens", count=count)


def speed(tokens_per_s: float) -> str:
    """Write a speed: `3.4 tok/s`, `43 tok/s`."""
    digits = 1 if tokens_per_s < 9.95 else 0
    return t("wording.speed", speed=f"{tokens_per_s:.{digits}f}")


def byte_speed(bytes_per_s: float) -> str:
    """Write how fast bytes arrive: `640 KiB/s`, `11.2 MiB/s`."""
    kib = bytes_per_s / 1024
    return t("wording.byte_speed", size=f"{kib:.0f} KiB" if kib < 999.5 else f"{kib / 1024:.1f} MiB")


def thought(seconds: float, count: int) -> str:
    """Write how long the thinking took and how much there was of it; 0 where it is not known."""
    parts = [t("wording.thought_for", duration=duration(seconds)) if seconds > 0 else t("wording.thought")]
    if count:
        parts.append(tokens(count))
    return SEPARATOR.join(parts)


def speaker(role: Role) -> str:
    """Write who speaks."""
    return t(f"wording.role.{role.value}")


def stop_note(reason: StopReason | None) -> str:
    """Write why a reply ended before its end; empty where it did not."""
    return t(_NOTES[reason]) if reason in _NOTES else ""
