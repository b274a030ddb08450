"""Turns that are stopped anywhere: screen, session and store agree, and nothing that arrived is lost."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from pathlib import Path

from attacks.actions import disagreements, press
from attacks.report import Options, Report
from qwen3_chat.chat import StopReason
from qwen3_chat.context_plan import ContextPolicy
from qwen3_chat.events import (
    AnswerDelta,
    EventSink,
    LoadProgressed,
    PrefillProgressed,
    ReasoningDelta,
    TurnFinished,
)
from qwen3_chat.request import ChatRequest, TokenCounts
from qwen3_chat.session import TurnOptions
from tests.fakes import FakeEngine, finished
from tests.harness import Harness, open_app

STAGES = {"load", "fit", "summarise", "prompt", "thinking", "answer", "store"}


class LeisurelyEngine(FakeEngine):
    """An engine that names the stage that it is in and takes its time with each."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(tokens_per_message=60)
        self.stage = "store"
        """The stage of the turn; what the engine has no part in is the store's."""
        self.pushed = ""
        """The text of the latest reply that was pushed."""
        self._rng = rng

    async def load(self, on_event: EventSink) -> None:
        """Load as if for the first time."""
        await self._spend("load")
        on_event(LoadProgressed(1))

    async def count_tokens(self, request: ChatRequest) -> TokenCounts:
        """Return the same count for every message."""
        await self._spend("fit")
        return await super().count_tokens(request)

    async def generate(self, request: ChatRequest, on_event: EventSink) -> TurnFinished:
        """Push a summary or a reply; a continued reply is repeated from its beginning."""
        if "Summarise" in request.messages[-1].content:
            await self._spend("summarise")
            on_event(AnswerDelta("They spoke.", 3))
            await self._spend("summarise")
            return finished()
        self.pushed = ""
        try:
            await self._spend("prompt")
            on_event(PrefillProgressed(1, 2, 0))
            for kind, before in ((ReasoningDelta, "reasoning"), (AnswerDelta, "content")):
                self._push(on_event, kind, getattr(request.prefix, before, ""))
                for _ in range(self._rng.randrange(1, 6)):
                    await self._spend("thinking" if kind is ReasoningDelta else "answer")
                    self._push(on_event, kind, self._rng.choice(["pears ", "天气", "**b** ", "\n- i\n"]))
        except asyncio.CancelledError:
            on_event(finished(StopReason.CANCELLED))
            raise
        on_event(end := finished(self._rng.choice([StopReason.END_OF_TURN, StopReason.MAX_TOKENS])))
        return end

    def _push(self, on_event: EventSink, kind: type[ReasoningDelta | AnswerDelta], text: str) -> None:
        if text:
            self.pushed += text
            on_event(kind(text, 1))

    async def _spend(self, stage: str) -> None:
        self.stage = stage
        try:
            for _ in range(self._rng.randrange(1, 25)):
                await asyncio.sleep(0)
        finally:
            self.stage = "store"


def attack(options: Options) -> Report:
    """Stop 500 turns, or as many as the options say; with 500, in every stage of a turn."""
    count = options.count or 500
    report = Report({"stopped turns": f"{count:,}"})
    with tempfile.TemporaryDirectory() as folder:
        stages = asyncio.run(stop_at_random(Path(folder), options.seed, count, report))
    report.figures |= {f"stopped in stage {stage}": f"{times}" for stage, times in sorted(stages.items())}
    report.check(count < 500 or set(stages) == STAGES, f"never stopped in {STAGES - set(stages)}")
    return report


async def stop_at_random(folder: Path, seed: int, count: int, report: Report) -> Counter[str]:
    """Begin turns, stop each of them once or twice at a random moment; count the stages they were in."""
    rng = random.Random(seed)
    engine = LeisurelyEngine(rng)
    stages: Counter[str] = Counter()
    options = TurnOptions(context_policy=ContextPolicy.SUMMARISE)
    async with open_app(folder, engine, (100, 30), options=options) as app:
        await idle(app)
        for number in range(count):
            typed, engine.pushed = f"question{number}", ""
            keys = rng.choice([(*typed, "enter"), (*typed, "enter"), ("f5",), ("f6",)])
            for key in keys:
                await press(app, key, 2)
            for _ in range(rng.randrange(150)):
                await asyncio.sleep(rng.choice([0, 0, 0, 0.0002]))
            for _ in range(rng.choice([1, 1, 2])):
                if app.screen.is_answering:
                    stages[engine.stage] += 1
                await press(app, "escape", rng.randrange(1, 20))
            await idle(app)
            report.failures.extend(await disagreements(app))
            texts = [stored.message.content for stored in app.session.messages]
            if len(keys) > 1:
                kept = typed in texts or typed == app.screen.input.content
                report.check(kept, f"turn {number}: the question is lost")
            if engine.pushed:
                reply = app.session.messages[-1].message
                kept = (reply.reasoning + reply.content).startswith(engine.pushed)
                report.check(kept, f"turn {number}: a part of the reply is lost")
            if number % 40 == 39:
                await app.pilot.press("ctrl+n")
    return stages


async def idle(app: Harness) -> None:
    """Wait until neither a turn nor a load runs."""
    await app.until(lambda: not app.screen.is_answering and not app.screen.turn.is_busy)
    await app.until(lambda: all(worker.is_finished for worker in app.screen.workers))
