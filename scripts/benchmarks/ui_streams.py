"""A long answer streamed into a long chat: the cost of a token, and the latency of keys meanwhile."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from textual.widgets import Input

from benchmarks.sample_chat import CODE, answer, chat, sentence
from benchmarks.ui_apps import BareApp, TranscriptApp
from benchmarks.ui_measures import SIZE, press, quiet
from qwen3_chat.transcript import MessageEntry

TOKENS_PER_S = 150
CHARACTERS_PER_TOKEN = 4
DELTA_S = 0.03
"""The interval in which the engine joins tokens to one delta."""
KEY_EVERY_S = 0.35
PARTS = 8
"""The number of parts of a stream; its start is the first of them, its end the last."""


def mixed(characters: int) -> str:
    """Return text, lists, code and tables in turn."""
    return _endless(lambda number: answer(number) + "\n\n", characters)


def table(characters: int) -> str:
    """Return one table that does not end."""
    head = "| step | what | tokens/s |\n|:--|:-:|--:|\n"
    return head + _endless(
        lambda number: f"| {number} | reads `key_{number}` | {number % 97}.5 |\n", characters
    )


def quote(characters: int) -> str:
    """Return one quote that does not end."""
    return _endless(lambda number: f"> {_words(number)}\n", characters)


def paragraph(characters: int) -> str:
    """Return one paragraph that does not end."""
    return _endless(lambda number: _words(number) + " ", characters)


def code(characters: int) -> str:
    """Return one code block that does not end."""
    return "```python\n" + _endless(lambda number: f"# {number}\n{CODE}\n", characters)


TEXTS: dict[str, Callable[[int], str]] = {
    "mixed": mixed,
    "table": table,
    "quote": quote,
    "paragraph": paragraph,
    "code": code,
}


def _words(number: int) -> str:
    return sentence(random.Random(number), 12)


def _endless(part: Callable[[int], str], characters: int) -> str:
    parts: list[str] = []
    length = 0
    for number in count():
        parts.append(part(number))
        length += len(parts[-1])
        if length >= characters:
            break
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Stream:
    """The measurements of one streamed answer."""

    kind: str
    n_tokens: int
    start_s: float
    """The processor time per token at the start."""
    end_s: float
    """The processor time per token at the end."""
    cpu_share: float
    """The share of one core, keys included."""
    keys_s: tuple[float, ...]

    @property
    def growth(self) -> float:
        """The cost of a token at the end over that at the start."""
        return self.end_s / self.start_s if self.start_s else 0.0

    @property
    def key_median_s(self) -> float:
        """The median time of a key."""
        return statistics.median(self.keys_s)

    @property
    def key_p99_s(self) -> float:
        """The 99th percentile of the times of keys."""
        return sorted(self.keys_s)[min(len(self.keys_s) - 1, int(len(self.keys_s) * 0.99))]


def stream(kind: str, answers: int, tokens: int) -> Stream:
    """Stream one kind of text and return the measurements; `nothing` is the bare app with keys only."""
    return asyncio.run(_stream(kind, answers, tokens))


async def _stream(kind: str, answers: int, tokens: int) -> Stream:
    is_bare = kind == "nothing"
    app = BareApp() if is_bare else TranscriptApp(chat(answers))
    async with app.run_test(headless=False, size=SIZE):
        await app.open_chat()
        await quiet(app)
        keys_s: list[float] = []
        keys = asyncio.create_task(_type(app, keys_s))
        started_s, started_cpu_s = time.perf_counter(), time.process_time()
        marks = [started_cpu_s]
        text = "" if is_bare else TEXTS[kind](tokens * CHARACTERS_PER_TOKEN)
        if isinstance(app, TranscriptApp):
            app.transcript.begin(MessageEntry("assistant", header="Qwen3"))
        written = 0
        while written < tokens:
            due = min(tokens, int((time.perf_counter() - started_s) * TOKENS_PER_S))
            if isinstance(app, TranscriptApp) and due > written:
                piece = slice(written * CHARACTERS_PER_TOKEN, due * CHARACTERS_PER_TOKEN)
                app.transcript.write_answer(text[piece])
            if due * PARTS // tokens >= len(marks):
                marks.append(time.process_time())
            written = due
            await asyncio.sleep(DELTA_S)
        wall_s, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
        keys.cancel()
        per_part = tokens / PARTS
        start_s, end_s = (marks[1] - marks[0]) / per_part, (marks[-1] - marks[-2]) / per_part
        return Stream(kind, tokens, start_s, end_s, cpu_s / wall_s, tuple(keys_s))


async def _type(app: BareApp | TranscriptApp, keys_s: list[float]) -> None:
    """Press keys now and then; ignore frames that began before a key was pressed."""
    box = app.query_one(Input)
    for number in count():
        await asyncio.sleep(KEY_EVERY_S)
        started_s = time.perf_counter()
        await press(app, "abcdefgh"[number % 8])
        while len(box.value) <= number or app.frame_at_s < started_s:
            app.frame.clear()
            await app.frame.wait()
        keys_s.append(app.frame_at_s - started_s)
