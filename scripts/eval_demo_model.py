"""Examines the demo model through the app's own engine and prints a table per skill, language and mode."""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from demo_model.exam import SETTERS, Question, is_right, set_questions, set_tagged_chats
from demo_model.exchange import Language
from qwen3_chat.catalog.sampling import QWEN3_SAMPLING, sampling_for
from qwen3_chat.chat import ChatMessage, Role, SamplingParams, StopReason, ThinkingMode
from qwen3_chat.engine.local import LocalEngine
from qwen3_chat.events import AnswerDelta, EngineFailed, ReasoningDelta, TurnFinished
from qwen3_chat.library import DEMO_FILE
from qwen3_chat.request import ChatRequest, LoadSettings

MAX_TOKENS = 1024
DOCUMENTED = {
    Language.EN: (
        "How many r's in strawberries?",
        "Then, how many r's in blueberries? /no_think",
        "Really? /think",
    ),
    Language.ZH: ("strawberries里有几个字母r？", "那blueberries里有几个r？ /no_think", "真的吗？ /think"),
}
DOCUMENTED_COUNTS = ("3", "2", "2")


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said, and whether it ended by itself."""

    thinking: str
    answer: str
    has_ended: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A loaded model with the way it is sampled."""

    engine: LocalEngine
    preset: str

    def sampling(self, mode: ThinkingMode) -> SamplingParams:
        """Return the parameters that the preset's name stands for."""
        match self.preset:
            case "greedy":
                return SamplingParams(temperature=0.0, top_p=1.0, top_k=1)
            case "qwen3":
                return QWEN3_SAMPLING[mode]
            case _:
                return sampling_for(mode, is_demo=True)

    async def reply(
        self, messages: Iterable[ChatMessage], mode: ThinkingMode, seed: int, budget: int | None = None
    ) -> Reply:
        """Generate one reply with the soft switch only."""
        request = ChatRequest(
            messages=tuple(messages),
            mode=mode,
            sampling=self.sampling(mode),
            seed=seed,
            max_tokens=MAX_TOKENS,
            thinking_budget=budget,
            hard_switch=False,
        )
        thinking, answer, has_ended = "", "", False
        async for event in self.engine.generate(request):
            match event:
                case ReasoningDelta(text):
                    thinking += text
                case AnswerDelta(text):
                    answer += text
                case TurnFinished(stop_reason):
                    has_ended = stop_reason is StopReason.END_OF_TURN
                case EngineFailed(key):
                    raise RuntimeError(key)
        return Reply(thinking.strip(), answer.strip(), has_ended)


def _user(text: str) -> ChatMessage:
    return ChatMessage(Role.USER, text)


def _assistant(text: str) -> ChatMessage:
    return ChatMessage(Role.ASSISTANT, text)


def _messages_of(question: Question, mode: ThinkingMode) -> list[ChatMessage]:
    messages = []
    for asked, answered in question.history:
        messages += [_user(asked), _assistant(answered)]
    tag = f" {mode.tag}" if mode is ThinkingMode.NO_THINK else ""
    return [*messages, _user(question.text + tag)]


async def examine(candidate: Candidate, n: int, seed: int, skills: Iterable[str]) -> None:
    """Print a row for each skill: right answers per language and mode, wrong modes, endless replies."""
    print(f"Sampling: {candidate.preset}; n = {n} per cell.\n")
    print("| skill | en think | en no_think | zh think | zh no_think | wrong mode | endless |")
    print("| --- | --: | --: | --: | --: | --: | --: |")
    for skill in skills:
        cells, wrong_mode, endless = [], 0, 0
        for language in Language:
            for mode in ThinkingMode:
                right = 0
                for index, question in enumerate(set_questions(skill, language, n, seed)):
                    reply = await candidate.reply(_messages_of(question, mode), mode, seed + index)
                    right += is_right(question, reply.answer)
                    wrong_mode += bool(reply.thinking) is not (mode is ThinkingMode.THINK)
                    endless += not reply.has_ended
                cells.append(f"{100 * right / n:.0f} %")
        print(f"| {skill} | {' | '.join(cells)} | {wrong_mode} | {endless} |", flush=True)


async def hold_documented_conversations(candidate: Candidate, n: int, seed: int) -> None:
    """Hold Qwen3's documented three turns `n` times per language; print how often each turn is right."""
    for language, questions in DOCUMENTED.items():
        right = [0, 0, 0]
        for index in range(n):
            messages: list[ChatMessage] = []
            for turn, question in enumerate(questions):
                mode = ThinkingMode.NO_THINK if "/no_think" in question else ThinkingMode.THINK
                messages.append(_user(question))
                reply = await candidate.reply(messages, mode, seed + 10 * index + turn)
                messages.append(_assistant(reply.answer))
                obeys = bool(reply.thinking) is (mode is ThinkingMode.THINK)
                right[turn] += obeys and reply.has_ended and f"**{DOCUMENTED_COUNTS[turn]}**" in reply.answer
                if index == 0:
                    print(f"> {question}\n[{reply.thinking}]\n{reply.answer}\n")
        print(f"{language}: right in {right} of {n}\n", flush=True)


async def switch_modes(candidate: Candidate, n: int, seed: int) -> None:
    """Ask in longer chats with tags in earlier turns; print how often the reply obeys the latest and ends."""
    obeyed, ended = 0, 0
    for index, (question, thinks) in enumerate(set_tagged_chats(n, seed)):
        messages = _messages_of(question, ThinkingMode.THINK)
        mode = ThinkingMode.THINK if thinks else ThinkingMode.NO_THINK
        reply = await candidate.reply(messages, mode, seed + index)
        obeyed += bool(reply.thinking) is thinks
        ended += reply.has_ended
    print(f"chats of two to six turns with tags: obeyed in {obeyed} of {n}, ended in {ended}", flush=True)


async def stop_thinking_early(candidate: Candidate, n: int, seed: int) -> None:
    """End the thinking after 0, 8 and 32 tokens; print how often an answer follows and ends."""
    for budget in (0, 8, 32):
        good = 0
        for language in Language:
            for index, question in enumerate(
                set_questions("count letters in unseen words", language, n, seed)
            ):
                messages = _messages_of(question, ThinkingMode.THINK)
                reply = await candidate.reply(messages, ThinkingMode.THINK, seed + index, budget)
                good += bool(reply.answer) and reply.has_ended
        print(f"thinking ended after {budget} tokens: an answer follows in {good} of {2 * n}", flush=True)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", type=Path, default=DEMO_FILE)
    parser.add_argument("-n", type=int, default=200, help="questions per cell")
    parser.add_argument("--preset", choices=("demo", "greedy", "qwen3"), default="demo")
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    parser.add_argument(
        "--skill", choices=tuple(SETTERS), action="append", help="only this skill; repeatable"
    )
    parser.add_argument("--conversations", type=int, default=20, help="documented conversations per language")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


async def main() -> None:
    """Run the command line."""
    arguments = parse_arguments()
    settings = LoadSettings(path=str(arguments.gguf.resolve()), n_threads=arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        engine = LocalEngine(settings, Path(folder) / "engine.log")
        candidate = Candidate(engine, arguments.preset)
        try:
            await hold_documented_conversations(candidate, arguments.conversations, arguments.seed)
            await examine(candidate, arguments.n, arguments.seed, arguments.skill or SETTERS)
            await switch_modes(candidate, arguments.n, arguments.seed)
            await stop_thinking_early(candidate, min(arguments.n, 50), arguments.seed)
        finally:
            await engine.close()


if __name__ == "__main__":
    asyncio.run(main())
