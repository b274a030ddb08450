"""How durations, sizes, counts are written for people."""

from __future__ import annotations

from datetime import datetime, timedelta

from qwen3_chat.texts import t


def duration(seconds: float) -> str:
    """Write a duration: `0.4 s`, `14 s`, `2 min 05 s`."""
    if seconds < 9.95:
        return t("ui.seconds", seconds=f"{seconds:.1f}")
    if seconds < 59.5:
        return t("ui.seconds", seconds=f"{seconds:.0f}")
    minutes, rest = divmod(round(seconds), 60)
    return t("ui.minutes", minutes=minutes, seconds=f"{rest:02d}")


def parameters(count: int) -> str:
    """Write a model's size: `2 M`, `0.6 B`, `32 B`."""
    if count < 100_000_000:
        return f"{count / 1e6:.1f} M"
    return f"{count / 1e9:.1f} B"


def day(moment: datetime, now: datetime) -> str:
    """Write when something happened: the time today, else the date; both in local time."""
    if moment.date() == now.date():
        return moment.strftime("%H:%M")
    if moment.date() == (now - timedelta(days=1)).date():
        return t("ui.yesterday")
    return moment.strftime("%Y-%m-%d")
