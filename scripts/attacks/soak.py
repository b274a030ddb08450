"""Thousands of turns with random keys on the demo model: nothing ends, nothing grows, the store is whole."""

from __future__ import annotations

import asyncio
import gc
import random
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression

import psutil

from attacks.actions import ACTIONS, disagreements, press
from attacks.report import Options, Report
from qwen3_chat.context_plan import ContextPolicy
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.request import LoadSettings
from qwen3_chat.session import TurnOptions
from qwen3_chat.ui.screens.chat_screen import ChatScreen
from tests.harness import Harness, open_app

TURNS = 2_000
SAMPLES = 40
TURNS_PER_CHAT = 12
MAX_TOKENS = 32
MAX_SLOPE_KB = 256
"""The most that a process may grow in 100 turns of the second half."""
MAX_MORE_DESCRIPTORS = MAX_MORE_THREADS = 2
"""A file or a thread that is in use at one sample and not at another."""
QUESTIONS = (
    "How many r's in strawberries?",
    "Hello",
    "17 + 25?",
    "天气怎么样？",
    "Write a list of three fruits",
    "/no_think 3 * 4?",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process holds after so many turns."""

    turns: int
    rss_kb: int
    descriptors: int
    threads: int


def sample(turns: int, pid: int) -> Sample:
    """Measure a process."""
    process = psutil.Process(pid)
    with process.oneshot():
        return Sample(turns, process.memory_info().rss // 1024, process.num_fds(), process.num_threads())


def attack(options: Options) -> Report:
    """Hold the turns; `count` is how many."""
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_soak(Path(folder), random.Random(options.seed), options.count or TURNS, report))
        with closing(sqlite3.connect(Path(folder) / "chats.db")) as database:
            (state,) = database.execute("PRAGMA integrity_check").fetchone()
            (messages,) = database.execute("SELECT count(*) FROM messages").fetchone()
    report.figures["messages stored"] = f"{messages:,}"
    report.figures["integrity_check"] = state
    report.check(state == "ok", f"integrity_check: {state}")
    return report


async def _soak(folder: Path, rng: random.Random, turns: int, report: Report) -> None:
    engine = LocalEngine(LoadSettings(str(DEMO_FILE)), folder / "engine.log")
    options = TurnOptions(max_tokens=MAX_TOKENS, context_policy=ContextPolicy.DROP)
    processes: dict[str, Callable[[], int]] = {
        "app": lambda: psutil.Process().pid,
        "worker": lambda: engine.pid or 0,
    }
    samples: dict[str, list[Sample]] = {name: [] for name in processes}
    interval = max(1, turns // SAMPLES)
    keys = 0
    try:
        async with open_app(folder, engine, (100, 30), options=options) as app:
            for number in range(turns):
                keys += await _turn(app, rng, begins_chat=number % TURNS_PER_CHAT == 0)
                if number % interval == interval - 1:
                    gc.collect()
                    for name, pid in processes.items():
                        samples[name].append(sample(number + 1, pid()))
            report.failures += await disagreements(app)
    finally:
        await engine.close()
    report.figures |= {"turns": f"{turns:,}", "random keys": f"{keys:,}"}
    for name, measured in samples.items():
        _judge(name, measured[len(measured) // 2 :], report)


async def _turn(app: Harness, rng: random.Random, *, begins_chat: bool) -> int:
    """Ask a question and press keys at random meanwhile; return how many."""
    if begins_chat:
        await app.pilot.press("ctrl+n")
    app.screen.input.text = rng.choice(QUESTIONS)
    await press(app, "enter", rng.randrange(60))
    weights, actions = zip(*ACTIONS, strict=True)
    pressed = 0
    for _ in range(rng.randrange(4)):
        for key in rng.choices(actions, weights)[0]:
            await press(app, key, rng.randrange(60))
            pressed += 1
        await asyncio.sleep(rng.random() * 0.05)
    while not isinstance(app.app.screen, ChatScreen):
        await app.pilot.press("escape")
    await app.until(lambda: not app.screen.is_answering and not app.screen.turn.is_busy)
    await app.until(lambda: all(worker.is_finished for worker in app.screen.workers))
    return pressed


def _judge(name: str, measured: Sequence[Sample], report: Report) -> None:
    first, last = measured[0], measured[-1]
    slope_kb = 0.0
    if len(measured) > 1:
        turns = [each.turns for each in measured]
        slope_kb = 100 * linear_regression(turns, [each.rss_kb for each in measured]).slope
    report.figures[f"{name}: memory"] = (
        f"{first.rss_kb / 1024:.0f} to {last.rss_kb / 1024:.0f} MiB, {slope_kb:+.0f} KB per 100 turns"
    )
    report.figures[f"{name}: descriptors"] = f"{first.descriptors} to {last.descriptors}"
    report.figures[f"{name}: threads"] = f"{first.threads} to {last.threads}"
    report.check(slope_kb <= MAX_SLOPE_KB, f"the {name} grows by {slope_kb:.0f} KB in 100 turns")
    more = last.descriptors - first.descriptors
    report.check(more <= MAX_MORE_DESCRIPTORS, f"the {name} has {more} descriptors more")
    more = last.threads - first.threads
    report.check(more <= MAX_MORE_THREADS, f"the {name} has {more} threads more")
