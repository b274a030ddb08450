"""Hostile code blocks in the running app: every lexer of Pygments, texts that some of them never end."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pygments.lexers import get_all_lexers

from attacks.report import Options, Report
from qwen3_chat.highlighting.highlighted_code import HighlightedCode
from qwen3_chat.transcript import MessageEntry
from qwen3_chat.transcript.message_view import ANSWER
from tests.fakes import FakeEngine
from tests.harness import Harness, open_app

MAX_PAUSE_S = 0.1
HEARTBEAT_S = 0.005
ATTEMPTS = 3
"""A pause counts if it comes back: on a busy machine the system itself pauses a process now and then."""
N_CHARACTERS = 30_000
TEXTS = {
    "digits": "1" * N_CHARACTERS,
    "spaces": " " * N_CHARACTERS,
    "brackets and quotes": "([{\"'" * (N_CHARACTERS // 5),
}


class Heartbeat:
    """The longest time for which the event loop did nothing else."""

    def __init__(self) -> None:
        self.worst_s = 0.0
        self.worst_cpu_s = 0.0
        """The most processor time of this process between two beats: the same, without other programs."""

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Beat until the end of the block."""
        task = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            await asyncio.sleep(HEARTBEAT_S)
            task.cancel()

    async def _beat(self) -> None:
        while True:
            before_s, before_cpu_s = time.perf_counter(), time.process_time()
            await asyncio.sleep(HEARTBEAT_S)
            self.worst_cpu_s = max(self.worst_cpu_s, time.process_time() - before_cpu_s)
            self.worst_s = max(self.worst_s, time.perf_counter() - before_s - HEARTBEAT_S)


def attack(options: Options) -> Report:
    """Show each block, wait until it is coloured or given up, and measure the pauses of the event loop."""
    return asyncio.run(_attack(options))


async def _attack(options: Options) -> Report:
    report = Report()
    languages = sorted(aliases[0] for _, aliases, _, _ in get_all_lexers(plugins=False) if aliases)
    cases = [(language, name) for language in languages for name in TEXTS]
    random.Random(options.seed).shuffle(cases)
    cases = cases[: options.count]
    found: list[tuple[Shown, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        async with open_app(Path(folder), FakeEngine(), (120, 40)) as app:
            await _show(app, "python", "x = 1")  # what the first block costs is not the lexer's fault
            for language, name in cases:
                shown, case = await _measure(app, language, TEXTS[name]), f"{language}, {name}"
                found.append((shown, case))
                paused = f"{case}: the loop paused for {shown.pause_s * 1000:.0f} ms"
                report.check(shown.pause_s <= MAX_PAUSE_S, paused)
    pause, pause_case = max(found, key=lambda pair: pair[0].pause_s)
    cpu, cpu_case = max(found, key=lambda pair: pair[0].cpu_s)
    report.figures = {
        "blocks": f"{len(cases)} of {N_CHARACTERS:,} characters, {len({case[0] for case in cases})} lexers",
        "worst pause": f"{pause.pause_s * 1000:.0f} ms ({pause_case})",
        "worst of it our own": f"{cpu.cpu_s * 1000:.0f} ms of processor time ({cpu_case})",
        "given up, plain": str(sum(shown.code.is_plain for shown, _ in found)),
        "slowest block": f"{max(shown.wait_s for shown, _ in found):.1f} s until coloured or given up",
    }
    return report


@dataclass(frozen=True, slots=True)
class Shown:
    """A block that was shown, the longest pause meanwhile, and the time until its colours were certain."""

    code: HighlightedCode
    pause_s: float
    cpu_s: float
    wait_s: float


async def _measure(app: Harness, language: str, text: str) -> Shown:
    """Show a block, again if there is a pause; return the attempt with the shortest one."""
    attempts: list[Shown] = []
    for number in range(ATTEMPTS):
        heartbeat, started_s = Heartbeat(), time.monotonic()
        async with heartbeat.beating():
            code = await _show(app, language, f"{text}\n{number}")  # no two are the same block
        attempts.append(Shown(code, heartbeat.worst_s, heartbeat.worst_cpu_s, time.monotonic() - started_s))
        if heartbeat.worst_s <= MAX_PAUSE_S:
            break
    return min(attempts, key=lambda shown: shown.pause_s)


async def _show(app: Harness, language: str, text: str) -> HighlightedCode:
    """Show an answer with a block until its colours are known or given up; return the block."""
    transcript = app.screen.transcript
    transcript.show([MessageEntry("assistant", f"```{language}\n{text}\n```\n")])
    (code,) = transcript.transcript_layout.layout(0).sections[ANSWER].code_blocks
    await app.until(lambda: code.row_spans(len(code.rows) - 1) is not None)
    return code
