"""Speed of the engine beside bare llama.cpp and the `Llama` class, and what idle time gives the next turn."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from benchmarks.engine_sides import AppEngine, BareLlama, Heard, Job, LlamaClass
from benchmarks.random_model import SHAPES, write_model
from qwen3_chat.events import AnswerDelta, PrefillProgressed

BARE, WORKER, CLIENT, CLASS = (
    "bare llama_decode + C sampler",
    "the engine's process",
    "the whole path to the client's event",
    "Llama.create_chat_completion",
)
WORD = "a "  # one token
ANSWER_TOKENS = 300
PHASES: dict[str, type[PrefillProgressed | AnswerDelta]] = {
    "while the prompt is evaluated": PrefillProgressed,
    "while the reply is written": AnswerDelta,
}
STOPS, MOMENTS = 20, 4


@dataclass(frozen=True, slots=True)
class Measured:
    """What all rounds came to: tokens a second by side, second turns with and without rest."""

    speeds: dict[str, list[float]] = field(
        default_factory=lambda: {name: [] for name in (BARE, WORKER, CLIENT, CLASS)}
    )
    at_once: list[Heard] = field(default_factory=list)
    rested: list[Heard] = field(default_factory=list)
    again: list[Heard] = field(default_factory=list)
    stops_s: dict[str, list[float]] = field(default_factory=dict)


async def measure(path: Path, job: Job, rounds: int, log_path: Path) -> tuple[Measured, int]:
    """Let the sides take turns, each round in another order; return the length of the prompt as well."""
    bare, app, class_ = BareLlama(path, job), AppEngine(path, job, log_path), LlamaClass(path, job)
    measured = Measured()

    async def hear(seed: int) -> None:
        heard = await app.hear(job.request(seed))
        await app.engine.rest()
        measured.speeds[WORKER].append(heard.worker_tokens_per_s)
        measured.speeds[CLIENT].append(heard.client_tokens_per_s)

    async def take(side: int, seed: int) -> None:
        match side:
            case 0:
                measured.speeds[BARE].append(bare.tokens_per_s(seed))
            case 1:
                await hear(seed)
            case _:
                measured.speeds[CLASS].append(class_.tokens_per_s(seed))

    try:
        for seed in range(rounds + 1):
            for turn in range(3):
                await take((seed + turn) % 3, seed)
            if seed == 0:
                measured = Measured()  # the first round only warms up
        for number in range(rounds):
            for rests in (False, True) if number % 2 else (True, False):
                second, again = await app.second_turn(number, ANSWER_TOKENS, rests)
                (measured.rested if rests else measured.at_once).append(second)
                measured.again.append(again)
        moments = Random(0)
        for name, kind in PHASES.items():
            measured.stops_s[name] = [
                await app.stop_s(number, kind, moments.randrange(MOMENTS)) for number in range(STOPS)
            ]
    finally:
        await app.engine.close()
        class_.close()
        bare.close()
    return measured, bare.n_prompt


def decode_table(speeds: dict[str, list[float]]) -> str:
    """Write the speed of each side and its ratio to the bare loop, round by round."""
    lines = [f"{'decode':40}{'tok/s':>9}{'of bare':>10}   quartiles"]
    for name, values in speeds.items():
        ratios = [value / bare for value, bare in zip(values, speeds[BARE], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        lines.append(f"{name:40}{statistics.median(values):>9.1f}{middle:>10.3f}   {low:.3f} to {high:.3f}")
    return "\n".join(lines)


def turn_table(measured: Measured) -> str:
    """Write what the second turn costs."""
    base_s = statistics.median(heard.first_delta_s for heard in measured.at_once)
    lines = [f"{'second turn':40}{'evaluated':>9}{'first ms':>10}   of the first row"]
    rows = {
        "sent at once": measured.at_once,
        "sent after idle time": measured.rested,
        "answered again": measured.again,
    }
    for name, heard in rows.items():
        first_s = statistics.median(one.first_delta_s for one in heard)
        evaluated = statistics.median(one.n_evaluated for one in heard)
        lines.append(f"{name:40}{evaluated:>9.0f}{first_s * 1e3:>10.1f}   {first_s / base_s:.3f}")
    return "\n".join(lines)


def stop_table(stops_s: dict[str, list[float]]) -> str:
    """Write how long a stop takes, from the request to the end of the stream."""
    lines = [f"{'stopped':40}{'median ms':>9}{'worst ms':>10}"]
    for name, values in stops_s.items():
        lines.append(f"{name:40}{statistics.median(values) * 1e3:>9.1f}{max(values) * 1e3:>10.1f}")
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Make a model, measure all sides in this run, print the tables."""
    parser = argparse.ArgumentParser(prog="bench engine", description=__doc__)
    parser.add_argument(
        "--shape", choices=SHAPES, default="small", help="of the made-up model (default: small)"
    )
    parser.add_argument("--gguf", type=Path, help="measure this model instead")
    parser.add_argument("--tokens", type=int, default=96, help="to decode (default: 96)")
    parser.add_argument("--prompt", type=int, default=512, help="about so many tokens (default: 512)")
    parser.add_argument("--rounds", type=int, default=9, help="of alternation (default: 9)")
    parser.add_argument("--threads", type=int, help="default: what the engine takes by itself")
    options = parser.parse_args(argv)
    from qwen3_chat.engine.worker.cores import default_threads

    job = Job(WORD * options.prompt, max(4, options.tokens), options.threads or default_threads())
    with tempfile.TemporaryDirectory() as folder:
        path = options.gguf or Path(folder) / "made-up.gguf"
        if options.gguf is None:
            write_model(path, SHAPES[options.shape])
        size_mb = path.stat().st_size / 1e6
        measured, n_prompt = asyncio.run(
            measure(path, job, max(2, options.rounds), Path(folder) / "engine.log")
        )
    name = options.gguf.name if options.gguf else f"shape {options.shape}"
    print(f"{name}, {size_mb:.0f} MB, threads: {job.n_threads}, {job.n_tokens} tokens after {n_prompt}")
    print(f"medians of {len(measured.at_once)} alternations\n")
    print(decode_table(measured.speeds), end="\n\n")
    print(turn_table(measured), end="\n\n")
    print(stop_table(measured.stops_s))
    return 0
