"""How sizes and dates are written on screen."""

from __future__ import annotations

from datetime import datetime, timedelta

from qwen3_chat.texts import t


def parameters(count: int) -> str:
    """Write a model's size: `2.1 M`, `0.6 B`, `32.8 B`."""
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
