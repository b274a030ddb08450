"""The equality of the native libraries: greedy replies of each, judged by fresh evaluations of both.

Every chat has two turns, so that the second one begins with cells of the first. A process for each library
replies, then evaluates the replies of both afresh. Where a token is not the best one there, the
difference of their logits is counted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import TypeVar

import msgspec

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.engine.native_libraries import IK_NAME, library_environment
from qwen3_chat.request import LLAMA_CPP_NAME, ChatRequest
from qwen3_chat.sampling import SamplingParams

LIBRARIES = (LLAMA_CPP_NAME, IK_NAME)
GREEDY = SamplingParams(temperature=0, top_p=1, top_k=0)
FOLLOW_UP = "Really?"
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


class Reply(msgspec.Struct, frozen=True):
    """A reply to a chat: the tokens of the whole prompt, and its own."""

    prompt: list[int]
    ids: list[int]


class Judged(msgspec.Struct, frozen=True):
    """The tokens of replies by a fresh evaluation: their number, and how far some are from the best one."""

    tokens: int
    gaps: list[float]


class Outcome(msgspec.Struct, frozen=True):
    """The equality of the libraries with one model; `judged` is by who replied and who evaluated afresh."""

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


def compare(path: Path, count: int, seed: int = 0) -> Outcome:
    """Have both libraries reply and judge, a process for each step."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for library in LIBRARIES:
            _run(library, "reply", path, count, seed, folder)
        for library in LIBRARIES:
            _run(library, "judge", path, count, seed, folder)
        replies = [_read(folder / f"reply-{library}", list[Reply]) for library in LIBRARIES]
        judged = {
            f"{author} : {judge} afresh": _read(folder / f"judge-{judge}", dict[str, Judged])[author]
            for author in LIBRARIES
            for judge in LIBRARIES
        }
    differing = sum(one.ids != other.ids for one, other in zip(*replies, strict=True))
    return Outcome(len(replies[0]), differing, judged)


def _run(library: str, step: str, path: Path, count: int, seed: int, folder: Path) -> None:
    environ = library_environment(library, None)
    environ["PYTHONPATH"] = f"{_SCRIPTS}:{_SCRIPTS.parent}"
    command = [sys.executable, "-m", "benchmarks.library_equality", "--step", step, "--folder", str(folder)]
    command += ["--gguf", str(path), "--count", str(count), "--seed", str(seed), "--library", library]
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{library} could not {step}: {done.stderr[-2000:]}")


def _read(file: Path, kind: type[_T]) -> _T:
    return msgspec.json.decode(file.read_bytes(), type=kind)


def _reply(path: Path, count: int, seed: int, folder: Path) -> list[Reply]:
    from benchmarks.in_process import clear_context, open_model, reply_to, then, use_idle_time
    from qwen3_chat.engine.worker.prompt_ids import tokenise

    replies = []
    for model in open_model(path, folder / "log", _N_CTX):
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


def _judge(path: Path, folder: Path) -> dict[str, Judged]:
    import numpy as np

    from benchmarks.in_process import clear_context, open_model

    judged = {}
    for model in open_model(path, folder / "log", _N_CTX):
        for author in LIBRARIES:
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
            judged[author] = Judged(tokens, gaps)
    return judged


def main(argv: Sequence[str]) -> int:
    """Compare the libraries, or carry out one step of that; return the exit status."""
    parser = argparse.ArgumentParser(prog="bench library_equality", description=__doc__)
    parser.add_argument("--gguf", type=Path, default=DEMO_FILE, help="the model (default: the demo model)")
    parser.add_argument("--count", type=int, default=200, help="of chats (default: 200)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--step", choices=("reply", "judge"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--library", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.step:
        made: object = (
            _reply(options.gguf, options.count, options.seed, options.folder)
            if options.step == "reply"
            else _judge(options.gguf, options.folder)
        )
        (options.folder / f"{options.step}-{options.library}").write_bytes(msgspec.json.encode(made))
        return 0
    outcome = compare(options.gguf, options.count, options.seed)
    print(f"{options.gguf.stem}: {outcome.replies} replies, {outcome.differing} differ between the libraries")
    for name, judged in outcome.judged.items():
        largest = max(judged.gaps, default=0.0)
        print(f"{name}: {judged.tokens} tokens, {len(judged.gaps)} not the best, by at most {largest:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
