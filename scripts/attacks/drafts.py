"""Replies with a model that drafts, beside the same replies without it: token by token the same.

The pairs: the demo model for itself, for itself with half an adapter, for one that is eight times as large
and mostly agrees; made-up models with Qwen3's whole vocabulary, whose drafts are nearly all rejected. Replies
are greedy or drawn, end their thinking early, are stopped and go on, call tools and fit schemas, follow
earlier turns. Prompt lookup is off and the clock is ignored, so that as much as possible is drafted.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from random import Random
from typing import Final
from unittest.mock import patch

import numpy as np
from llama_cpp import llama_cpp as L  # noqa: N812 - as in the worker

from attacks.report import Options, Report
from benchmarks.deepened_demo import write_deepened_demo
from benchmarks.in_process import Turn, clear_context, open_model, reply_to, then
from benchmarks.random_model import Shape, write_model
from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.engine import wire
from qwen3_chat.engine.worker import draft_model, prompt_lookup
from qwen3_chat.engine.worker.client_channel import Job
from qwen3_chat.engine.worker.llama_model import LlamaModel
from qwen3_chat.engine.worker.native_library import NativeContext
from qwen3_chat.engine.worker.prompt_ids import tokenise
from qwen3_chat.engine.worker.prompt_lookup import SpeedupEstimate
from qwen3_chat.engine.worker.reply_generator import ReplyGenerator
from qwen3_chat.engine.worker.sampler import Sampler
from qwen3_chat.events import TurnFinished
from qwen3_chat.record_copies import replace
from qwen3_chat.request import Adapter, ChatRequest, ToolSpec
from qwen3_chat.sampling import SamplingParams
from tests.engine.requests import GREEDY, THINKING

COUNT = 500
WILD = SamplingParams(0.9, 0.95, 30, presence_penalty=1.0)
NOISES: Final = (0.001, 0.01, 0.03, 0.1, 0.2)
"""The noise in logits that may explain another token: `scripts/bench exactness` measures up to 0.35."""
TRIES: Final = 20
ADAPTER = Path(__file__).parents[2] / "tests" / "engine" / "ahoy-adapter.gguf"
WORDS = ("strawberries", "banana", "mississippi", "bookkeeper", "committee", "level", "tomorrow", "coffee")
_LARGE, _SMALL = Shape(2, 256, 512, 4, 2, 64), Shape(1, 32, 32, 1, 1, 32)
_WEATHER: Final = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 12},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "unit": {"enum": ["celsius", "fahrenheit"]},
    },
    "required": ["city", "days", "unit"],
    "additionalProperties": False,
}
_TOOL = ToolSpec(
    json.dumps(
        {"type": "function", "function": {"name": "weather", "description": "x", "parameters": _WEATHER}}
    )
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A model with the one that drafts for it, and the share of the replies that it gets."""

    name: str
    share: float
    adapters: tuple[Adapter, ...] = ()
    noise: float = 0.0
    is_noise_only: bool = False
    max_tokens: int = 160


PAIRS: Final = (
    Pair("demo for itself", 0.3),
    Pair("demo for the demo with half an adapter", 0.2, (Adapter(str(ADAPTER), 0.5),)),
    Pair("demo for a model eight times as large", 0.3, noise=0.03, max_tokens=100),
    Pair("made-up models with the whole vocabulary", 0.2, is_noise_only=True, max_tokens=40),
)


class AlwaysWorthwhile(SpeedupEstimate):
    """An estimate by which each draft is worthwhile, so that what is drafted does not depend on the clock."""

    @property
    def is_worthwhile(self) -> bool:
        """True at any time."""
        return True


class EndingJob(Job):
    """A job that asks for the answer once so many tokens of the thinking were generated."""

    __slots__ = ("_n_left",)

    def __init__(self, request: ChatRequest, n_left: int) -> None:
        self._n_left = n_left
        super().__init__(wire.Generate(1, request))

    @property
    def answer_now_requested(self) -> bool:
        """True from then on; it is asked once for each token."""
        self._n_left -= 1
        return self._n_left < 0

    @answer_now_requested.setter
    def answer_now_requested(self, value: bool) -> None:
        """Ignore what a job begins with."""


@dataclass(slots=True)
class Outcome:
    """The outcome of the replies of one pair."""

    replies: int = 0
    tokens: int = 0
    drafted: int = 0
    accepted: int = 0
    steps: int = 0
    ties: list[float] = field(default_factory=list)
    """The noise in the logits that explains each reply that went on otherwise."""
    failures: list[str] = field(default_factory=list)


@contextmanager
def drafts_everywhere(minimum: float = draft_model.MIN_PROBABILITY) -> Iterator[list[SpeedupEstimate]]:
    """Have only the draft model draft, and always; give the estimates of all replies."""
    estimates = list[SpeedupEstimate]()

    def make(min_tokens: int = 1) -> SpeedupEstimate:
        estimates.append(AlwaysWorthwhile(min_tokens))
        return estimates[-1]

    with (
        patch.object(prompt_lookup, "SpeedupEstimate", make),
        patch.object(prompt_lookup.NgramIndex, "continuation", lambda self, length: []),
        patch.object(draft_model, "MIN_PROBABILITY", minimum),
    ):
        yield estimates


@contextmanager
def opened_pair(pair: Pair, folder: Path) -> Iterator[LlamaModel]:
    """Load a pair, made in a folder where that is needed."""
    target, draft = DEMO_FILE, DEMO_FILE
    if pair.is_noise_only:
        target, draft = folder / "large.gguf", folder / "small.gguf"
        write_model(target, _LARGE, seed=1)
        write_model(draft, _SMALL, seed=2)
    elif pair.noise:
        target = folder / "deep.gguf"
        write_deepened_demo(target, pair.noise)
    models = open_model(
        target, folder / "engine.log", n_ctx=1024, n_threads=1, adapters=pair.adapters, draft=str(draft)
    )
    model = next(models)
    assert model.draft is not None
    yield model
    next(models, None)


class Comparison:
    """The comparison of replies of one pair, drawn by a seed."""

    def __init__(self, model: LlamaModel, pair: Pair, seed: int) -> None:
        self._model = model
        self._pair = pair
        self._random = Random(f"{pair.name} {seed}")
        self.outcome = Outcome()

    def run(self, count: int) -> Outcome:
        """Compare so many replies, or one more."""
        kinds = [
            self._plain,
            self._plain,
            self._budget,
            self._answer_now,
            self._stopped,
            self._call,
            self._answer_of_a_schema,
            self._follow_up,
        ]
        number = 0
        while self.outcome.replies < count:
            kinds[number % len(kinds)]()
            number += 1
        return self.outcome

    def _request(self, **changes: object) -> ChatRequest:
        random, word = self._random, self._random.choice(WORDS)
        question = random.choice(
            (
                f"Spell {word} backwards.",
                f"How many {random.choice('aerst')}'s in {word}?",
                f"Count from {random.randint(1, 30)} to {random.randint(31, 40)}.",
                f"What is {random.randint(2, 60)} + {random.randint(2, 60)}?",
                "法国的首都是哪里？",
            )
        )
        mode = random.choice((ThinkingMode.THINK, ThinkingMode.THINK, ThinkingMode.NO_THINK))
        request = ChatRequest(
            (ChatMessage(Role.USER, question),),
            mode=mode,
            sampling=random.choice((GREEDY, THINKING, WILD)),
            seed=random.randrange(1 << 30),
            max_tokens=self._pair.max_tokens,
        )
        return replace(request, **changes)  # type: ignore[arg-type]

    def _plain(self) -> None:
        self._compare("plain", self._request())

    def _budget(self) -> None:
        budget = self._random.randint(5, 40)
        self._compare("budget", self._request(mode=ThinkingMode.THINK, thinking_budget=budget))

    def _answer_now(self) -> None:
        after = self._random.randint(1, 40)
        self._compare("answer now", self._request(mode=ThinkingMode.THINK), answer_after=after)

    def _call(self) -> None:
        opening = self._model.vocab.specials["<tool_call>"]
        begun = ChatMessage(Role.ASSISTANT, "<tool_call>", token_ids=(opening,))
        self._compare("call", self._request(tools=(_TOOL,), prefix=begun, mode=ThinkingMode.NO_THINK))

    def _answer_of_a_schema(self) -> None:
        request = self._request(answer_schema=json.dumps(_WEATHER), hard_switch=False)
        self._compare("schema", replace(request, max_tokens=max(100, self._pair.max_tokens)))

    def _follow_up(self) -> None:
        """Ask a second question in the same chat, half of the time without the first message."""
        request, word = self._request(), self._random.choice(WORDS)
        is_shortened, plain = self._random.random() < 0.5, replace(request, guesses=False)
        turns = []
        for guesses in (False, True):
            clear_context(self._model)
            first = reply_to(self._model, plain)
            later = then(first, ChatMessage(Role.USER, f"And in {word}?"), guesses=guesses)
            if is_shortened:
                later = replace(later, messages=later.messages[-1:])
            turns.append(reply_to(self._model, later))
        plain_turn, drafted_turn = turns
        self._note("follow-up", plain_turn, drafted_turn)

    def _stopped(self) -> None:
        """Stop a reply somewhere; what came of it begins the whole one, and goes on as it would have."""
        request, stop_at = self._request(), self._random.randint(1, 8)
        clear_context(self._model)
        whole = reply_to(self._model, replace(request, guesses=False))
        clear_context(self._model)
        stopped = reply_to(self._model, request, stop_at)
        ids = stopped.message.token_ids
        n_common = self._n_common(whole, stopped)
        self.outcome.failures += [] if self._is_clean(stopped) else [f"stopped, seed {request.seed}: cells"]
        if n_common < len(ids):
            self._note("stopped", whole, stopped)
        elif stopped.stop_reason is StopReason.CANCELLED and stopped.message.content:
            self._compare("continued", replace(request, prefix=stopped.message))
        else:
            self.outcome.replies += 1

    def _compare(self, kind: str, request: ChatRequest, answer_after: int | None = None) -> None:
        plain, drafted = (
            self._reply(replace(request, guesses=guesses), answer_after) for guesses in (False, True)
        )
        self._note(kind, plain, drafted, answer_after)

    def _note(self, kind: str, plain: Turn, drafted: Turn, answer_after: int | None = None) -> None:
        outcome, ids = self.outcome, drafted.message.token_ids
        outcome.replies += 1
        outcome.tokens += len(ids)
        if not self._is_clean(drafted):
            outcome.failures.append(f"{kind}, seed {drafted.request.seed}: cells that are no text's")
        if plain.message.token_ids == ids and plain.stop_reason is drafted.stop_reason:
            return
        n_common = self._n_common(plain, drafted)
        noise = None
        if n_common < len(ids):
            noise = self._explaining_noise(plain, n_common, ids[n_common], answer_after)
        if noise is None:
            outcome.failures.append(f"{kind}, seed {drafted.request.seed}: token {n_common} is another one")
        else:
            outcome.ties.append(noise)

    def _is_clean(self, turn: Turn) -> bool:
        """Return True if nothing that was drafted in vain is left in either context."""
        model, ids = self._model, turn.message.token_ids
        known = [*tokenise(model.template.render_request(turn.request), model.vocab, turn.request), *ids]
        context = model.context
        return context.tokens == known[: len(context.tokens)] and context.native.last_position(0) + 1 == len(
            context.tokens
        )

    @staticmethod
    def _n_common(plain: Turn, drafted: Turn) -> int:
        ids = plain.message.token_ids, drafted.message.token_ids
        pairs = enumerate(zip(*ids, strict=False))
        return next((i for i, (one, other) in pairs if one != other), min(map(len, ids)))

    def _explaining_noise(
        self, turn: Turn, n_common: int, token: int, answer_after: int | None
    ) -> float | None:
        """Return the least noise in the logits by which a plain reply goes on with another token.

        Evaluated in other batches, logits differ that much, and a draw between two tokens may fall on the
        other side. None is returned if no noise explains it.
        """
        model, request = self._model, turn.request
        prompt = tokenise(model.template.render_request(request), model.vocab, request)
        random = Random(request.seed)
        end = len(prompt) + n_common
        # A token that a grammar forbids is drawn twice, so an earlier one may have moved all later draws.
        for first, noise in product((end, len(prompt)), NOISES):
            for _ in range(TRIES):
                with noisy_at(model, range(first, end + 1), noise, random):
                    ids = self._reply(request, answer_after).message.token_ids
                if n_common < len(ids) and ids[n_common] == token:
                    return noise
        return None

    def _reply(self, request: ChatRequest, answer_after: int | None = None) -> Turn:
        clear_context(self._model)
        job = Job(wire.Generate(1, request)) if answer_after is None else EndingJob(request, answer_after)
        reply = ReplyGenerator(self._model, request, job)
        *_, end = reply.events()
        assert isinstance(end, TurnFinished)
        return Turn(request, reply.message(), end.stop_reason, end.usage)


@contextmanager
def noisy_at(model: LlamaModel, n_tokens: range, noise: float, random: Random) -> Iterator[None]:
    """Add noise to the logits from which the tokens after so many are drawn, once for each."""
    draws = {name: getattr(Sampler, name) for name in ("sample", "sample_allowed")}
    n_vocab, done = model.native.vocab.n_tokens, set[int]()
    noises = np.random.default_rng(random.randrange(1 << 30))

    def noisy(name: str) -> Callable[..., int]:
        def draw(self: Sampler, context: NativeContext, index: int, *rule: object) -> int:
            if (number := len(model.context.tokens)) in n_tokens and number not in done:
                done.add(number)
                logits = np.ctypeslib.as_array(context.logits(index), (n_vocab,))
                logits += noises.uniform(-noise, noise, n_vocab).astype(np.float32)
            drawn: int = draws[name](self, context, index, *rule)
            return drawn

        return draw

    with ExitStack() as patches:
        for name in draws:
            patches.enter_context(patch.object(Sampler, name, noisy(name)))
        yield


def compare_pair(pair: Pair, folder: Path, seed: int, count: int) -> Outcome:
    """Compare so many replies of a pair."""
    minimum = 0.0 if pair.is_noise_only else draft_model.MIN_PROBABILITY
    quiet = L.llama_log_callback(lambda *_: None)
    L.llama_log_set(quiet, None)
    try:
        with drafts_everywhere(minimum) as estimates, opened_pair(pair, folder) as model:
            outcome = Comparison(model, pair, seed).run(count)
    finally:
        L.llama_log_set(L.llama_log_callback(), None)  # ours goes with this function
    outcome.drafted = sum(estimate.n_drafted for estimate in estimates)
    outcome.accepted = sum(estimate.n_accepted for estimate in estimates)
    outcome.steps = sum(estimate.n_steps for estimate in estimates)
    return outcome


def attack(options: Options) -> Report:
    """Compare the replies of all pairs."""
    report, total = Report(), options.count or COUNT
    for pair in PAIRS:
        with tempfile.TemporaryDirectory() as folder:
            outcome = compare_pair(pair, Path(folder), options.seed, round(total * pair.share))
        share = outcome.accepted / max(1, outcome.drafted)
        per_step = (outcome.accepted + outcome.steps) / max(1, outcome.steps)
        report.figures[pair.name] = (
            f"{outcome.replies} replies, {outcome.tokens} tokens, {len(outcome.ties)} go on otherwise"
            f" (explained by noise of {max(outcome.ties, default=0):g} at most); {outcome.drafted} drafted,"
            f" {share:.0%} accepted, {per_step:.2f} tokens a step"
        )
        report.check(outcome.accepted > 0, f"{pair.name}: nothing was accepted")
        report.failures += [f"{pair.name}: {failure}" for failure in outcome.failures]
    return report
