"""Chats of thirty turns with a real small language model through the interface.

The model is SmolLM2-135M; the first run downloads it. The context is small, so that each chat outgrows it and
the model writes summaries of what is left out; it also writes the titles. Nothing may fail, what is on the
screen must be what is stored, and nothing may grow.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import median

from attacks.actions import disagreements
from attacks.report import Options, Report
from attacks.soak import Sample, sample
from qwen3_chat.chat import Role
from qwen3_chat.context_plan import ContextPolicy
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.request import LoadSettings
from qwen3_chat.session import TurnOptions
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import StoredMessage, TitledBy
from tests.harness import Harness, open_app
from unpacked_wheels import SMALL_MODEL

TURNS = 300
TURNS_PER_CHAT = 30
N_CTX = 1024
MAX_TOKENS = 64
SIZE = (100, 34)
TITLE_PAUSE_S = 8.0
MAX_GROWTH_MIB = 24
"""The most that the app may grow over the second half; llama.cpp's worker has all its memory at once."""
PICTURES = "QWEN3_CHAT_PICTURES"
"""The variable with the folder for pictures of the first, a middle and the last turn."""
OPENINGS = ("Say hello in one sentence.", "What is the capital of France?", "How are you today?")
QUESTIONS = (
    "Tell me about the history of tea in three paragraphs.",
    "Write a Python function that counts the vowels in a word, with an example.",
    "Make a table of five planets with their size and their distance from the sun.",
    "List the steps to bake bread, numbered.",
    "What did I ask you first?",
    "Explain recursion to a child.",
    "Write a short poem about the sea.",
    "Give three arguments for and three against remote work.",
    "Summarise what we talked about.",
    "Write a shell command that finds the ten largest files.",
    "Translate 'good morning' into French, German and Spanish.",
    "用中文介绍一下你自己。",
    "Continue.",
    "Write an HTML page with a heading and a list.",
    "What is the difference between a stack and a queue?",
)


def attack(options: Options) -> Report:
    """Hold the turns; `count` is how many."""
    report = Report()
    model = SMALL_MODEL.fetch()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_talk(Path(folder), model, random.Random(options.seed), options.count or TURNS, report))
        with closing(sqlite3.connect(Path(folder) / "chats.db")) as database:
            (state,) = database.execute("PRAGMA integrity_check").fetchone()
    report.figures["integrity_check"] = state
    report.check(state == "ok", f"integrity_check: {state}")
    return report


async def _talk(folder: Path, model: Path, rng: random.Random, turns: int, report: Report) -> None:
    engine = LocalEngine(LoadSettings(str(model), N_CTX, n_threads=1), folder / "engine.log")
    options = TurnOptions(max_tokens=MAX_TOKENS, context_policy=ContextPolicy.SUMMARISE)
    app_samples, worker_samples = list[Sample](), list[Sample]()
    try:
        async with open_app(folder, engine, SIZE, options=options, titles_chats=True) as app:
            for number in range(turns):
                if number % TURNS_PER_CHAT == 0:
                    await app.pilot.press("ctrl+n")
                await app.turn(rng.choice(QUESTIONS if number % TURNS_PER_CHAT else OPENINGS))
                await app.until(lambda: not app.screen.turn.is_busy)
                if number % TURNS_PER_CHAT == 0:  # an idle moment, in which the model writes the title
                    await asyncio.sleep(TITLE_PAUSE_S)
                app_samples.append(sample(number + 1, os.getpid()))
                worker_samples.append(sample(number + 1, engine.pid or 0))
                if number + 1 in (2, turns // 2, turns):
                    _take_picture(app, number + 1)
            await app.until(lambda: all(worker.is_finished for worker in app.screen.workers))
            report.failures += await disagreements(app)
            await _tell(app.store, turns, report)
    finally:
        await engine.close()
    _judge(app_samples, worker_samples, report)


def _take_picture(app: Harness, turn: int) -> None:
    if folder := os.environ.get(PICTURES):
        Path(folder, f"turn-{turn}.svg").write_text(app.app.export_screenshot(), "utf-8")


async def _tell(store: ChatStore, turns: int, report: Report) -> None:
    chats = await store.chats()
    replies: list[StoredMessage] = []
    titled = 0
    for chat in chats:
        replies += [m for m in await store.branch(chat.id) if m.message.role is Role.ASSISTANT]
        titled += (await store.chat(chat.id)).titled_by is TitledBy.MODEL
    usages = [reply.meta.usage for reply in replies if reply.meta.usage is not None]
    timings = [reply.meta.timings for reply in replies if reply.meta.timings is not None]
    speeds = sorted(timing.tokens_per_s for timing in timings if timing.tokens_per_s)
    waits = [timing.first_token_s for timing in timings]
    summaries = [reply.meta.summary for reply in replies if reply.meta.summary]
    reused = sum(usage.reused_tokens for usage in usages) / max(
        1, sum(usage.prompt_tokens for usage in usages)
    )
    report.check(len(replies) == turns, f"{len(replies)} replies to {turns} questions")
    report.check(all(reply.message.content for reply in replies), "a reply is empty")
    report.figures |= {
        "turns": f"{turns:,} in {len(chats)} chats",
        "tokens of answers": f"{sum(usage.answer_tokens for usage in usages):,}",
        "speed": f"{median(speeds):.0f} tok/s (median; {speeds[0]:.0f} to {speeds[-1]:.0f})",
        "first token": f"{median(waits):.2f} s (median; {max(waits):.1f} at most)",
        "prompt reused": f"{reused:.0%}",
        "replies with a summary of what was left out": str(len(summaries)),
        "different summaries": str(len(set(summaries))),
        "titles by the model": f"{titled} of {len(chats)}",
    }


def _judge(app: Sequence[Sample], worker: Sequence[Sample], report: Report) -> None:
    for name, samples in (("app", app), ("worker", worker)):
        first, middle, last = (samples[i].rss_kb / 1024 for i in (0, len(samples) // 2, -1))
        report.figures[f"{name}: memory"] = (
            f"{first:.0f}, {middle:.0f}, {last:.0f} MiB (first, middle, last turn)"
        )
        report.check(last - middle <= MAX_GROWTH_MIB, f"the {name} grew by {last - middle:.0f} MiB")
