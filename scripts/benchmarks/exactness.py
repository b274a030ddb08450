"""The exactness of replies from cached tokens: greedy replies beside a fresh evaluation of each token.

Evaluated in other batches, the same tokens have slightly different logits, so that two nearly equally good
ones may change places. The size of this noise is measured by evaluating the same tokens afresh twice, in
chunks and one by one. If a token of a reply is worse than the best one by more than the noise, this fails.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from llama_cpp import llama_cpp as L  # noqa: N812 - as in the worker

from benchmarks.in_process import Turn, clear_context, open_model, reply_to, then, use_idle_time
from benchmarks.made_up_files import QUANTS, made_up_file
from benchmarks.random_model import SHAPES
from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.engine.worker.llama_model import LlamaModel
from qwen3_chat.engine.worker.prefetch import next_prompt_prefix
from qwen3_chat.engine.worker.prompt_ids import tokenise
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest
from qwen3_chat.sampling import SamplingParams

N_CTX = 2048
GREEDY = SamplingParams(temperature=0, top_p=1, top_k=0)
DRAWN = SamplingParams(temperature=0.6, top_p=0.95, top_k=20)
THINKING_START = ChatMessage(Role.ASSISTANT, "", reasoning="Let me see.")  # a made-up model never begins one
NOISE_EVERY = 3  # conversations
QUESTIONS = ("How many r's in strawberries?", "What is 17 + 25?", "Count from 3 to 9.", "Who are you?")


@dataclass(slots=True)
class Tally:
    """The tokens of one way to reply; `gaps` are the differences to the best one, where another was drawn."""

    replies: int = 0
    differing: int = 0
    tokens: int = 0
    gaps: list[float] = field(default_factory=list)

    def add(self, gaps: Sequence[float]) -> None:
        """Add a reply."""
        self.replies += 1
        self.differing += any(gaps)
        self.tokens += len(gaps)
        self.gaps += [gap for gap in gaps if gap]


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of a turn: tokens, the largest change of a logit difference, changes of the best token."""

    tokens: int
    largest: float
    changes: int


def conversation(model: LlamaModel, number: int, max_tokens: int, folder: Path) -> Iterator[tuple[str, Turn]]:
    """Yield greedy replies after idle time, regenerated, after another chat, from a snapshot."""
    questions = [
        ChatMessage(Role.USER, f"{QUESTIONS[(number + i) % len(QUESTIONS)]} {number}") for i in range(4)
    ]
    thinks = bool(number % 2)
    mode = ThinkingMode.THINK if thinks else ThinkingMode.NO_THINK
    first = ChatRequest(
        (questions[0],),
        mode,
        DRAWN,
        number,
        max_tokens=max_tokens,
        thinking_budget=max_tokens // 2 if thinks else None,
        prefix=THINKING_START if thinks else None,
    )
    turn = reply_to(model, first)
    use_idle_time(model, turn)
    request = then(turn, questions[1], sampling=GREEDY, prefix=None, thinking_budget=None)
    turn = reply_to(model, request)
    yield "after idle time", turn
    yield "answered again", reply_to(model, request)
    use_idle_time(model, turn)
    other = reply_to(model, replace(first, messages=(questions[2],), max_tokens=4))
    use_idle_time(model, other)
    turn = reply_to(model, then(turn, questions[2]))
    yield "after another chat", turn
    use_idle_time(model, turn)
    resume(model, turn, folder / "cells")
    yield "from a snapshot", reply_to(model, then(turn, questions[3]))


def resume(model: LlamaModel, turn: Turn, path: Path) -> None:
    """Save the beginning of the next prompt, empty the context, load it.

    Raises:
        RuntimeError: llama.cpp could not save or load it.
    """
    context = model.context
    tokens = next_prompt_prefix(model, turn.request, turn.message)
    tokens = tokens[: context.common_length(tokens)]
    if not context.save(path, tokens):
        raise RuntimeError("the cells could not be saved")
    clear_context(model)
    if not context.load(path, len(tokens)):
        raise RuntimeError("the cells could not be loaded")


def logits_of(model: LlamaModel, turn: Turn, chunk_tokens: int | None = None) -> Iterator[np.ndarray]:
    """Evaluate a turn afresh; yield the logits that each token of the reply was chosen from."""
    prompt = tokenise(model.template.render_request(turn.request), model.vocab, turn.request)
    clear_context(model)
    size = chunk_tokens or len(prompt)
    for start in range(0, len(prompt), size):
        for _ in model.context.evaluate(prompt[start : start + size]):
            pass
    for token in turn.message.token_ids:
        pointer = model.context.native.logits(-1)
        yield np.ctypeslib.as_array(pointer, (model.vocab.n_tokens,)).copy()
        model.context.append(token)


def gaps_of(turn: Turn, logits: Iterable[np.ndarray]) -> list[float]:
    """Return for each token of a reply the difference of its logit to the best one."""
    pairs = zip(turn.message.token_ids, logits, strict=True)
    return [float(row.max() - row[token]) for token, row in pairs]


def noise_of(model: LlamaModel, turn: Turn, in_chunks: Sequence[np.ndarray]) -> Noise:
    """Evaluate a turn afresh one by one; compare the two best tokens of each step with those in chunks."""
    largest, changes = 0.0, 0
    for row, other in zip(in_chunks, logits_of(model, turn, 1), strict=True):
        second, first = np.argpartition(row, -2)[-2:][np.argsort(np.partition(row, -2)[-2:])]
        largest = max(largest, abs(float((row[first] - row[second]) - (other[first] - other[second]))))
        changes += int(other.argmax() != first)
    return Noise(len(in_chunks), largest, changes)


def measure(
    model: LlamaModel, numbers: Sequence[int], max_tokens: int, folder: Path
) -> tuple[dict[str, Tally], list[Noise]]:
    """Hold conversations, with progress on stderr; compare each reply."""
    tallies: dict[str, Tally] = {}
    noises = []
    for number in numbers:
        clear_context(model)
        turns = list(conversation(model, number, max_tokens, folder))
        for index, (way, turn) in enumerate(turns):
            in_chunks = list(logits_of(model, turn))
            tallies.setdefault(way, Tally()).add(gaps_of(turn, in_chunks))
            if index == len(turns) - 1 and number % NOISE_EVERY == numbers[0] % NOISE_EVERY:
                noises.append(noise_of(model, turn, in_chunks))
        print(f"\r\x1b[K{number}", end="", file=sys.stderr, flush=True)
    print("\r\x1b[K", end="", file=sys.stderr)
    return tallies, noises


def table(tallies: dict[str, Tally], noises: Sequence[Noise]) -> str:
    """Return the table of all ways, with the noise as the last row."""
    lines = [f"{'':32}{'replies':>8}{'differ':>8}{'tokens':>8}{'not the best':>14}{'by at most':>12}"]
    for way, tally in tallies.items():
        lines.append(_line(way, tally, max(tally.gaps, default=0.0)))
    afresh = Tally(
        len(noises),
        sum(bool(noise.changes) for noise in noises),
        sum(noise.tokens for noise in noises),
        [0.0] * sum(noise.changes for noise in noises),
    )
    lines.append(_line("afresh in chunks : one by one", afresh, limit(noises)))
    return "\n".join(lines)


def _line(way: str, tally: Tally, largest: float) -> str:
    counts = f"{tally.replies:8}{tally.differing:8}{tally.tokens:8}{len(tally.gaps):14}"
    return f"{way:32}{counts}{largest:12.4f}"


def limit(noises: Sequence[Noise]) -> float:
    """Return the largest noise."""
    return max(noise.largest for noise in noises)


def main(argv: Sequence[str]) -> int:
    """Make a model if none is given, compare, print the table; return 1 if noise does not explain it."""
    parser = argparse.ArgumentParser(prog="bench exactness", description=__doc__)
    parser.add_argument(
        "--shape", choices=SHAPES, default="0.6B", help="of the made-up model (default: 0.6B)"
    )
    parser.add_argument("--quant", choices=QUANTS, default="Q4_K_M", help="of the made-up model")
    parser.add_argument("--gguf", type=Path, help="compare with this model instead")
    parser.add_argument("--conversations", type=int, default=50, help="how many (default: 50)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first, to go on with others")
    parser.add_argument("--tokens", type=int, default=16, help="of a reply (default: 16)")
    options = parser.parse_args(argv)
    path = options.gguf or made_up_file(options.shape, options.quant)
    quiet = L.llama_log_callback(lambda *_: None)
    L.llama_log_set(quiet, None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with contextmanager(open_model)(path, folder / "engine.log", n_ctx=N_CTX) as model:
            numbers = range(options.first, options.first + options.conversations)
            tallies, noises = measure(model, numbers, options.tokens, folder)
    L.llama_log_set(L.llama_log_callback(), None)  # ours goes with this function
    print(f"{path.stem}, {options.conversations} conversations, replies of {options.tokens} tokens\n")
    print(table(tallies, noises))
    unexplained = [gap for tally in tallies.values() for gap in tally.gaps if gap > limit(noises)]
    print(f"\nmore than the noise: {len(unexplained)}")
    return bool(unexplained)
