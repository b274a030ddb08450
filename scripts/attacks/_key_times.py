"""The time of keys while an attack runs, in the app of the tests' harness."""

from __future__ import annotations

import asyncio
import time
from statistics import median, quantiles
from typing import Final

from textual.events import Key

from attacks.report import Report
from tests.harness import Harness

MAX_KEY_S: Final = 0.05
KEY_PAUSE_S: Final = 0.03
N_IDLE_KEYS: Final = 200
NO_EFFECT_S: Final = 5.0
"""The time after which a key has no effect, which counts as having taken as long."""


async def time_of_key(app: Harness) -> float:
    """Press a key, and return how long it took until the app had dealt with it."""
    await asyncio.sleep(KEY_PAUSE_S)
    before_s, length = time.perf_counter(), len(app.screen.input.text)
    app.app.post_message(Key("x", "x"))
    until_s = before_s + NO_EFFECT_S
    while len(app.screen.input.text) == length and time.perf_counter() < until_s:  # noqa: ASYNC110 - it is timed
        await asyncio.sleep(0)
    return time.perf_counter() - before_s


async def times_while_idle(app: Harness) -> list[float]:
    """Return the times of keys while nothing else happens, as on this machine at this time."""
    return [await time_of_key(app) for _ in range(N_IDLE_KEYS)]


def report_keys(report: Report, keys_s: list[float], idle_s: list[float], what: str) -> None:
    """Add the times of keys to a report; keys that other programs slow down as well may take longer."""
    p99_s, idle_p99_s = (quantiles(times, n=100)[98] for times in (keys_s, idle_s))
    report.check(p99_s <= max(MAX_KEY_S, 2 * idle_p99_s), f"a key took {p99_s * 1e3:.0f} ms (p99)")
    report.figures |= {
        "keys": f"{len(keys_s)}, {median(keys_s) * 1e3:.1f} ms median, {p99_s * 1e3:.0f} ms p99",
        f"keys without {what}": f"{median(idle_s) * 1e3:.1f} ms median, {idle_p99_s * 1e3:.0f} ms p99",
    }
