"""The continuation of a long chat in a new process: from its snapshot, beside evaluating it again."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.random_model import SHAPES, write_model
from event_stream import events_of
from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.events import AnswerDelta, EngineFailed, TurnFinished
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest, LoadSettings, PersistenceOptions
from qwen3_chat.sampling import SamplingParams

CHAT = 1
WORD = "a "  # one token
SAMPLING = SamplingParams(temperature=0, top_p=1, top_k=0)
REPLY_TOKENS = 8


@dataclass(frozen=True, slots=True)
class FirstToken:
    """The time from the question to the first token, and the number of tokens evaluated for it."""

    elapsed_s: float
    n_evaluated: int
    token_ids: tuple[int, ...]


async def first_token(engine: LocalEngine, request: ChatRequest) -> FirstToken:
    """Load the model, then ask; return the measurements.

    Raises:
        RuntimeError: the engine failed.
    """
    async for _ in events_of(engine.load):
        pass
    started_s, first_s = time.perf_counter(), 0.0
    async with aclosing(events_of(engine.generate, request)) as events:
        async for event in events:
            match event:
                case AnswerDelta():
                    first_s = first_s or time.perf_counter()
                case EngineFailed(key=key):
                    raise RuntimeError(key)
                case TurnFinished(usage=usage, token_ids=ids):
                    evaluated = usage.prompt_tokens - usage.reused_tokens
                    return FirstToken(first_s - started_s, evaluated, ids)
    raise RuntimeError("the stream ended early")


async def measure(
    path: Path, n_prompt: int, rounds: int, folder: Path
) -> tuple[list[FirstToken], list[FirstToken], list[float]]:
    """Save a chat, then continue it in new processes; return both sides and the times to save it."""
    question = ChatMessage(Role.USER, WORD * n_prompt)
    request = ChatRequest((question,), ThinkingMode.NO_THINK, SAMPLING, 1, max_tokens=REPLY_TOKENS)
    follow_up = ChatMessage(Role.USER, "Really?")
    anew: list[FirstToken] = []
    resumed: list[FirstToken] = []
    saved_s: list[float] = []
    n_ctx = n_prompt + 1024
    for number in range(rounds):
        saved = PersistenceOptions(str(folder / str(number)), snapshots_bytes=1 << 36, worth_s=0)
        engine = LocalEngine(LoadSettings(str(path), n_ctx=n_ctx), folder / "engine.log", persistence=saved)
        of_chat = replace(request, chat_id=CHAT)
        reply = ChatMessage(
            Role.ASSISTANT, "a", token_ids=(await first_token(engine, of_chat)).token_ids
        )  # the snapshot ends before it
        started_s = time.perf_counter()
        await engine.close()
        saved_s.append(time.perf_counter() - started_s)
        upcoming = replace(of_chat, messages=(question, reply, follow_up))
        for side, options in (
            ((anew, None), (resumed, saved)) if number % 2 else ((resumed, saved), (anew, None))
        ):
            engine = LocalEngine(
                LoadSettings(str(path), n_ctx=n_ctx), folder / "engine.log", persistence=options
            )
            side.append(await first_token(engine, upcoming))
            await engine.close()
    return anew, resumed, saved_s


def main(argv: Sequence[str]) -> int:
    """Make a model, measure both sides in this run, print the table."""
    parser = argparse.ArgumentParser(prog="bench snapshot", description=__doc__)
    parser.add_argument(
        "--shape", choices=SHAPES, default="0.6B", help="of the made-up model (default: 0.6B)"
    )
    parser.add_argument("--gguf", type=Path, help="measure this model instead")
    parser.add_argument("--prompt", type=int, default=4000, help="about so many tokens (default: 4000)")
    parser.add_argument("--rounds", type=int, default=3, help="of alternation (default: 3)")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = options.gguf or folder / "made-up.gguf"
        if options.gguf is None:
            write_model(path, SHAPES[options.shape])
        anew, resumed, saved_s = asyncio.run(measure(path, options.prompt, options.rounds, folder))
    title = options.gguf.name if options.gguf else f"shape {options.shape}"
    print(f"{title}, medians of {options.rounds} alternations, saved in {statistics.median(saved_s):.2f} s\n")
    print(f"{'a long chat in a new process':32}{'evaluated':>10}{'first token s':>15}   of the first row")
    base_s = statistics.median(one.elapsed_s for one in anew)
    for label, side in (("evaluated again", anew), ("from its snapshot", resumed)):
        first_s = statistics.median(one.elapsed_s for one in side)
        evaluated = statistics.median(one.n_evaluated for one in side)
        print(f"{label:32}{evaluated:>10.0f}{first_s:>15.3f}   {first_s / base_s:.3f}")
    agree = sum(one.token_ids == other.token_ids for one, other in zip(anew, resumed, strict=True))
    print(f"\nsame greedy tokens: {agree} of {len(anew)}")
    return 0
