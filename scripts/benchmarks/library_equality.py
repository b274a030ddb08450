"""The equality of two sides: greedy replies of each, judged by fresh evaluations of both.

The sides are the two native libraries, or the faster one with its KV cache in 16 and in 8 bits. Every chat
has two turns, so that the second one begins with cells of the first. A process for each side replies, then
evaluates the replies of both afresh. Where a token is not the best one there, the difference of their logits
is counted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple, TypeVar

import msgspec

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.engine.native_libraries import IK_NAME, library_environment
from qwen3_chat.request import LLAMA_CPP_NAME, ChatRequest, KvType
from qwen3_chat.sampling import SamplingParams

GREEDY = SamplingParams(temperature=0, top_p=1, top_k=0)
FOLLOW_UP = "Really?"
STEPS = ("reply", "judge")
_N_CTX, _MAX_TOKENS = 2048, 60
_WORDS = (
    "strawberries",
    "letter",
    "banana",
    "morning",
    "coffee",
    "window",
    "river",
    "garden",
    "paper",
    "bottle",
)
_T = TypeVar("_T")
_SCRIPTS = Path(__file__).resolve().parents[1]


class Side(NamedTuple):
    """A library with a type of KV cache."""

    library: str
    kv_type: KvType

    def __str__(self) -> str:
        return f"{self.library} {self.kv_type}"


LIBRARIES = (Side(LLAMA_CPP_NAME, KvType.F16), Side(IK_NAME, KvType.F16))
KV_TYPES = (Side(IK_NAME, KvType.F16), Side(IK_NAME, KvType.Q8_0))


class Reply(msgspec.Struct, frozen=True):
    """A reply to a chat: the tokens of the whole prompt, and its own."""

    prompt: list[int]
    ids: list[int]


class Judged(msgspec.Struct, frozen=True):
    """The tokens of replies by a fresh evaluation: their number, and how far some are from the best one."""

    tokens: int
    gaps: list[float]


class Outcome(msgspec.Struct, frozen=True):
    """The equality of two sides with one model; `judged` is by who replied and who evaluated afresh."""

    replies: int
    differing: int
    judged: dict[str, Judged]

    @property
    def largest_gap(self) -> float:
        """The largest difference of a token's logit to the best one."""
        return max((gap for judged in self.judged.values() for gap in judged.gaps), default=0.0)


def questions(count: int, seed: int) -> Iterator[tuple[str, bool]]:
    """Yield questions, of which every other one is to be thought about."""
    random = Random(seed)
    for number in range(count):
        word, one, two = random.choice(_WORDS), random.randint(2, 60), random.randint(2, 60)
        yield (
            random.choice(
                (
                    f"How many {random.choice(word)}'s are in {word}?",
                    f"What is {one} + {two}?",
                    f"What is {one} * {two}?",
                    f"Tell me a short story about a {word}.",
                    f"{one} 加 {two} 等于多少？",
                    f"Write a Python function about a {word}.",
                    f"Count from {one} to {one + 7}.",
                )
            ),
            bool(number % 2),
        )


def compare(path: Path, count: int, seed: int = 0, sides: tuple[Side, Side] = LIBRARIES) -> Outcome:
    """Have both sides reply and judge, a process for each step."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for step in STEPS:
            for side in sides:
                _run(side, step, sides, path, count, seed, folder)
        replies = [_read(folder / f"reply-{side}", list[Reply]) for side in sides]
        judged = {
            f"{author} : {judge} afresh": _read(folder / f"judge-{judge}", dict[str, Judged])[str(author)]
            for author in sides
            for judge in sides
        }
    differing = sum(one.ids != other.ids for one, other in zip(*replies, strict=True))
    return Outcome(len(replies[0]), differing, judged)


def _run(
    side: Side, step: str, sides: tuple[Side, Side], path: Path, count: int, seed: int, folder: Path
) -> None:
    environ = library_environment(side.library, None)
    environ["PYTHONPATH"] = f"{_SCRIPTS}:{_SCRIPTS.parent}"
    command = [sys.executable, "-m", "benchmarks.library_equality", "--step", step, "--folder", str(folder)]
    command += ["--gguf", str(path), "--count", str(count), "--seed", str(seed)]
    command += ["--side", str(sides.index(side)), *(["--kv-types"] if sides is KV_TYPES else [])]
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{side} could not {step}: {done.stderr[-2000:]}")


def _read(file: Path, kind: type[_T]) -> _T:
    return msgspec.json.decode(file.read_bytes(), type=kind)


def _reply(side: Side, path: Path, count: int, seed: int, folder: Path) -> list[Reply]:
    from benchmarks.in_process import clear_context, open_model, reply_to, then, use_idle_time
    from qwen3_chat.engine.worker.prompt_ids import tokenise

    replies = []
    for model in open_model(path, folder / "log", _N_CTX, kv_type=side.kv_type):
        for text, thinks in questions(count, seed):
            clear_context(model)
            mode = ThinkingMode.THINK if thinks else ThinkingMode.NO_THINK
            message = ChatMessage(Role.USER, text)
            turn = reply_to(model, ChatRequest((message,), mode, GREEDY, 0, max_tokens=_MAX_TOKENS))
            use_idle_time(model, turn)
            second = reply_to(model, then(turn, ChatMessage(Role.USER, FOLLOW_UP)))
            for one in (turn, second):
                prompt = tokenise(model.template.render_request(one.request), model.vocab, one.request)
                replies.append(Reply(list(prompt), list(one.message.token_ids)))
    return replies


def _judge(side: Side, sides: tuple[Side, Side], path: Path, folder: Path) -> dict[str, Judged]:
    import numpy as np

    from benchmarks.in_process import clear_context, open_model

    judged = {}
    for model in open_model(path, folder / "log", _N_CTX, kv_type=side.kv_type):
        for author in sides:
            tokens, gaps = 0, list[float]()
            for reply in _read(folder / f"reply-{author}", list[Reply]):
                clear_context(model)
                list(model.context.evaluate(reply.prompt))
                for token in reply.ids:
                    pointer = model.context.native.logits(-1)
                    row = np.ctypeslib.as_array(pointer, (model.vocab.n_tokens,))
                    gap = float(row.max() - row[token])
                    gaps += [gap] if gap else []
                    tokens += 1
                    model.context.append(token)
            judged[str(author)] = Judged(tokens, gaps)
    return judged


def main(argv: Sequence[str]) -> int:
    """Compare the libraries, or carry out one step of that; return the exit status."""
    parser = argparse.ArgumentParser(prog="bench library_equality", description=__doc__)
    parser.add_argument("--gguf", type=Path, default=DEMO_FILE, help="the model (default: the demo model)")
    parser.add_argument("--count", type=int, default=200, help="of chats (default: 200)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kv-types", action="store_true", help="compare KV caches of the faster library")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--side", type=int, choices=(0, 1), default=0, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    sides = KV_TYPES if options.kv_types else LIBRARIES
    if options.step:
        side = sides[options.side]
        made: object = (
            _reply(side, options.gguf, options.count, options.seed, options.folder)
            if options.step == "reply"
            else _judge(side, sides, options.gguf, options.folder)
        )
        (options.folder / f"{options.step}-{side}").write_bytes(msgspec.json.encode(made))
        return 0
    outcome = compare(options.gguf, options.count, options.seed, sides)
    print(f"{options.gguf.stem}: {outcome.replies} replies, {outcome.differing} differ between the sides")
    for name, judged in outcome.judged.items():
        share = 1 - len(judged.gaps) / max(1, judged.tokens)
        print(
            f"{name}: {judged.tokens} tokens, {len(judged.gaps)} not the best ({share:.2%} are), by at most"
            f" {max(judged.gaps, default=0.0):.3f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
