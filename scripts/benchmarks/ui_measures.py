"""The measurements of `bench ui` of one app, in a process of its own."""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from textual.driver import Driver
from textual.events import Key, Resize
from textual.geometry import Size

from benchmarks.sample_chat import chat
from benchmarks.ui_apps import BareApp, MarkdownApp, MeasuredApp, TranscriptApp

APPS = {"bare": BareApp, "transcript": TranscriptApp, "markdown": MarkdownApp}
SIZE = (120, 40)
QUIET_S = 0.25
"""The time without a frame after which a screen is complete."""
LIMIT_S = 20.0
"""The time after which the rounds of one measurement end: a slow app is measured fewer times."""
NO_EFFECT_S = 30.0
"""The time without a frame after which an action has no effect."""
REPEATS = 9


@dataclass(frozen=True, slots=True)
class Side:
    """The times of one app, in seconds from an action to the bytes of the frame, and its memory."""

    name: str
    widgets: int
    times_s: dict[str, tuple[float, ...]] = field(default_factory=dict)
    memory_bytes: int = 0

    def median_s(self, measurement: str) -> float:
        """Return the median time, 0 without any."""
        return statistics.median(self.times_s[measurement]) if self.times_s.get(measurement) else 0.0

    def p99_s(self, measurement: str) -> float:
        """Return the 99th percentile of the times, 0 without any."""
        times = sorted(self.times_s.get(measurement, (0.0,)))
        return times[min(len(times) - 1, int(len(times) * 0.99))]


def measure(kind: str, answers: int, rounds: int) -> Side:
    """Measure an app with that many answers and as many questions."""
    return asyncio.run(_measure(kind, answers, rounds))


async def _measure(kind: str, answers: int, rounds: int) -> Side:
    app = APPS[kind](chat(answers))
    async with app.run_test(headless=False, size=SIZE):
        await quiet(app)
        times: dict[str, tuple[float, ...]] = {}
        if kind != "bare":
            times["open"] = await repeat(app, app.open_chat, 1)
        letters = iter("abcdefgh " * rounds)
        times["key"] = await repeat(app, lambda: press(app, next(letters)), rounds)
        if kind != "bare":
            times["page up"] = await repeat(app, lambda: page(app, -1), rounds)
            times["page down"] = await repeat(app, lambda: page(app, 1), rounds)
        widths = iter([100, 120] * REPEATS)
        times["width"] = await repeat(app, lambda: resize(app, next(widths)), REPEATS)
        themes = iter(["textual-light", "textual-dark"] * REPEATS)
        times["theme"] = await repeat(app, lambda: change_theme(app, next(themes)), REPEATS)
        return Side(kind, len(app.screen.query("*")), times, resident_bytes())


async def repeat(app: MeasuredApp, action: Callable[[], Awaitable[None]], times: int) -> tuple[float, ...]:
    """Repeat an action; return the times until the last frame that it caused."""
    taken_s: list[float] = []
    limit_s = time.perf_counter() + LIMIT_S
    source = random.Random(1)
    for _ in range(times):
        app.frame.clear()
        started_s = time.perf_counter()
        await action()
        try:
            await asyncio.wait_for(app.frame.wait(), NO_EFFECT_S)
        except TimeoutError:
            break  # nothing changes any more: the first page is reached
        if times <= REPEATS:
            await quiet(app)
        taken_s.append(app.frame_at_s - started_s)
        if time.perf_counter() > limit_s:
            break
        await asyncio.sleep(0.02 + 0.01 * source.random())
    return tuple(taken_s)


async def press(app: MeasuredApp, character: str) -> None:
    """Press a key."""
    app.post_message(Key("space" if character == " " else character, character))


async def page(app: MeasuredApp, step: int) -> None:
    """Scroll a page up or down."""
    app.page(step)


async def resize(app: MeasuredApp, width: int) -> None:
    """Give the terminal another width."""
    size = Size(width, SIZE[1])
    driver: Driver | None = app._driver
    if driver is not None:
        driver._size = (width, SIZE[1])
    app.post_message(Resize(size, size))


async def change_theme(app: MeasuredApp, theme: str) -> None:
    """Change the theme."""
    app.theme = theme


async def quiet(app: MeasuredApp) -> None:
    """Wait until there are no more frames."""
    while True:
        app.frame.clear()
        try:
            await asyncio.wait_for(app.frame.wait(), QUIET_S)
        except TimeoutError:
            return


def resident_bytes() -> int:
    """Return the memory of this process, 0 where it is unknown."""
    gc.collect()
    status = Path("/proc/self/status")
    lines: Sequence[str] = status.read_text().splitlines() if status.exists() else ()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)
