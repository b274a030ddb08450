"""A program that compares two models and is killed on the way: `answers` or `vote`, then a folder."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.events import AnswerDelta, EventSink, TurnFinished
from qwen3_chat.request import ChatRequest
from qwen3_chat.session import ChatSession, EngineChoice, ServedModel
from qwen3_chat.session.blind_comparison import BlindComparison
from qwen3_chat.session.engine_choice import encode_choice
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import Entrant, VoteOutcome
from tests.fakes import FakeEngine, finished

ENTRANTS = tuple(
    Entrant(name, ThinkingMode.THINK, encode_choice(ServedModel(name))) for name in ("one", "other")
)


def kill() -> None:
    """End at once, as a power cut does."""
    os.kill(os.getpid(), signal.SIGKILL)


class DyingEngine(FakeEngine):
    """An engine that takes the whole program along in the middle of its answer."""

    async def generate(self, request: ChatRequest, on_event: EventSink) -> TurnFinished:
        """Write a little, wait until it is saved, and die."""
        on_event(AnswerDelta("Half of", 2))
        await asyncio.sleep(1)
        kill()
        return finished()


async def main(moment: str, folder: Path) -> None:
    """Ask, compare, die."""
    made: list[EngineChoice] = []

    def make(choice: EngineChoice) -> FakeEngine:
        made.append(choice)
        dies = moment == "answers" and len(made) == 2
        return DyingEngine() if dies else FakeEngine([AnswerDelta(f"From {choice.url}", 3), finished()])  # type: ignore[union-attr]

    store = await ChatStore.open(folder / "chats.db")
    session = ChatSession(FakeEngine(), store, draw_seed=lambda: 1, clock=lambda: 0.0)
    await session.send("Which?", lambda event: None)
    comparisons = BlindComparison(session, store, make)
    comparison = await comparisons.begin(session.messages[0].id, ENTRANTS)
    comparison = await comparisons.run(comparison, lambda progress: None)
    await store.end_comparison(comparison.id, VoteOutcome.BEST, 1)
    kill()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
