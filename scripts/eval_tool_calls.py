"""The 200 questions of `demo_model/tool_questions.jsonl`, asked through the app's session with real tools.

An answer is right if the calls are the expected ones, in order, each of them ran, and the answer holds what
they returned. Each question is a new chat. `--llama-server PROGRAM` starts that program with the model and
asks it instead of the engine on this machine; `--endpoint URL` asks a server that serves it already.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from benchmarks.llama_cpp_sides import LlamaServer
from call_letters import is_written
from demo_model.exchange import Language
from demo_model.tool_questions import ToolQuestion, tool_questions
from qwen3_chat.chat import Role, ThinkingMode
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.engine import Engine
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.remote import RemoteEngine, RemoteSettings
from qwen3_chat.errors import Qwen3ChatError
from qwen3_chat.events import EngineFailed
from qwen3_chat.models.catalog.sampling_presets import DEMO_SAMPLING
from qwen3_chat.record_copies import replace
from qwen3_chat.request import LoadSettings
from qwen3_chat.servers import Endpoint
from qwen3_chat.session import ChatSession, SessionEvent, TurnOptions
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import CallRecord
from qwen3_chat.tools.built_in_tools import Toolbox

MAX_STEPS = 6

SYSTEM = """You answer only by calling one of these functions:
<tools>
{specs}
</tools>
Write each call as a JSON object with its name and arguments within <tool_call></tool_call> tags. \
"What is 2 * 3?" becomes
<tool_call>
{{"name": "calculator", "arguments": {{"expression": "2 * 3"}}}}
</tool_call>
"What time is it in Paris?" becomes
<tool_call>
{{"name": "now", "arguments": {{"location": "Paris"}}}}
</tool_call>"""
"""What a model is told of the tools whose template knows none (`--tools-in-system`)."""


class Verdict(StrEnum):
    """What became of a question; all but the first are failures."""

    RIGHT = "right"
    NO_CALL = "no call"
    OTHER_TOOL = "another tool"
    OTHER_ARGUMENTS = "other arguments"
    OTHER_NUMBER = "too few calls or too many"
    NOT_RUN = "the right call, but it did not run"
    OTHER_ANSWER = "the right call, but another answer"
    FAILED = "the turn failed"


@dataclass(frozen=True, slots=True)
class Trial:
    """A question with the calls that became of it, their results, and the last answer."""

    question: ToolQuestion
    calls: tuple[CallRecord, ...]
    results: tuple[str, ...]
    answer: str
    failure: str = ""
    n_unwritten: int = 0
    """The calls that hold something that the model did not write; always 0 where its tokens are unknown."""

    @property
    def verdict(self) -> Verdict:
        """What became of the question."""
        expected = self.question.calls
        called = [call.name for call in self.calls]
        if self.failure:
            return Verdict.FAILED
        if not called:
            return Verdict.NO_CALL
        if len(called) != len(expected):
            return Verdict.OTHER_NUMBER
        if called != [call.name for call in expected]:
            return Verdict.OTHER_TOOL
        if [_read(call.arguments) for call in self.calls] != [call.arguments for call in expected]:
            return Verdict.OTHER_ARGUMENTS
        if any(call.is_error for call in self.calls):
            return Verdict.NOT_RUN
        told = [call.told_by(result) for call, result in zip(expected, self.results, strict=True)]
        return Verdict.RIGHT if all(text and text in self.answer for text in told) else Verdict.OTHER_ANSWER


def _read(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments


async def ask(
    session: ChatSession, question: ToolQuestion, decode: Callable[[Sequence[int]], str] | None = None
) -> Trial:
    """Ask a question in a new chat; `decode` makes text of the model's token ids."""
    failures = list[str]()

    def note(event: SessionEvent) -> None:
        if isinstance(event, EngineFailed):
            failures.append(str(event.to_error()))

    session.start_new()
    await session.set_mode_override(question.mode)
    try:
        await session.send(question.text, note)
    except Qwen3ChatError as error:
        failures.append(str(error))
    replies = [stored for stored in session.messages if stored.message.role is Role.ASSISTANT]
    results = [stored for stored in session.messages if stored.message.role is Role.TOOL]
    calls = tuple(stored.meta.call for stored in results if stored.meta.call)
    source = "".join(decode(reply.token_ids) for reply in replies) if decode else None
    return Trial(
        question,
        calls,
        tuple(stored.message.content for stored in results),
        replies[-1].message.content if replies else "",
        failures[0] if failures else "",
        sum(source is not None and not is_written(call.name, call.arguments, source) for call in calls),
    )


def lines(trials: Sequence[Trial], title: str) -> Iterator[str]:
    """Return the figures: right answers in all and by kind of question, and the failures."""
    right = [trial for trial in trials if trial.verdict is Verdict.RIGHT]
    yield f"{title}: {len(right)} of {len(trials)} right ({100 * len(right) / len(trials):.1f}%)"
    for kind in sorted({_kind(trial) for trial in trials}):
        asked = [trial for trial in trials if _kind(trial) == kind]
        yield f"  {kind}: {sum(trial in right for trial in asked)} of {len(asked)}"
    for verdict, count in Counter(trial.verdict for trial in trials).most_common():
        if verdict is not Verdict.RIGHT:
            yield f"  {count:3}  {verdict}"
    calls = [call for trial in trials for call in trial.calls]
    yield (
        f"  {len(calls)} calls: {sum(not call.is_error for call in calls)} ran, "
        f"{sum(call.is_repaired for call in calls)} repaired, "
        f"{sum(trial.n_unwritten for trial in trials)} other than written"
    )


def _kind(trial: Trial) -> str:
    question = trial.question
    tool = question.calls[0].name if len(question.calls) == 1 else "two calls"
    return f"{tool}, {question.language}, {question.mode}"


@contextmanager
def _detokeniser(path: Path) -> Iterator[Callable[[Sequence[int]], str]]:
    from llama_cpp import Llama

    model = Llama(str(path), vocab_only=True, verbose=False)
    try:
        yield lambda ids: model.detokenize(list(ids), special=True).decode(errors="replace")
    finally:
        model.close()


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", type=Path, default=DEMO_FILE)
    parser.add_argument("--llama-server", type=Path, metavar="PROGRAM")
    parser.add_argument("--endpoint", metavar="URL", help="a server that serves the model already")
    parser.add_argument("--preset", choices=("app", "demo"), default="app", help="the sampling parameters")
    parser.add_argument("--tools", default="now,calculator", help="the tools on offer")
    parser.add_argument("--tools-in-system", action="store_true", help="for a template that knows no tools")
    parser.add_argument(
        "--questions", type=Path, metavar="JSONL", help="others than the 200, in the same form"
    )
    parser.add_argument("--language", choices=tuple(Language), type=Language)
    parser.add_argument("--count", type=int, help="ask only so many, drawn by the seed")
    parser.add_argument("--max-tokens", type=int, default=1024, help="of a reply")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="print the failures")
    return parser.parse_args()


async def main() -> None:
    """Run the command line."""
    arguments = parse_arguments()
    questions = [
        it for it in tool_questions(arguments.questions) if arguments.language in (None, it.language)
    ]
    if arguments.count:
        questions = random.Random(arguments.seed).sample(questions, min(arguments.count, len(questions)))
    options = TurnOptions(
        max_tokens=arguments.max_tokens, max_steps=MAX_STEPS, tools=tuple(arguments.tools.split(","))
    )
    if arguments.preset == "demo":
        preset = DEMO_SAMPLING[ThinkingMode.THINK]
        options = replace(options, temperature=preset.temperature, top_p=preset.top_p, top_k=preset.top_k)
    path = arguments.gguf.resolve()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, decode = Path(name), None
        engine: Engine
        if arguments.llama_server:
            threads = ("-t", str(arguments.threads), "-np", "1")
            server = LlamaServer(arguments.llama_server, path, folder / "server.log", threads)
            stack.callback(server.close)
            engine = RemoteEngine(RemoteSettings(Endpoint.parse(server.url)))
        elif arguments.endpoint:
            engine = RemoteEngine(RemoteSettings(Endpoint.parse(arguments.endpoint)))
        else:
            engine = LocalEngine(LoadSettings(str(path), n_threads=arguments.threads), folder / "engine.log")
            decode = stack.enter_context(_detokeniser(path))
        store = await ChatStore.open(folder / "chats.db")
        toolbox, seeds = Toolbox(), random.Random(arguments.seed)
        specs = "\n".join(spec.schema for spec in toolbox.registry(options.tools or ()).specs)
        system = SYSTEM.format(specs=specs) if arguments.tools_in_system else ""
        session = ChatSession(
            engine, store, lambda: seeds.randrange(2**31), time.monotonic, system, options, toolbox
        )
        trials = list[Trial]()
        try:
            for question in questions:
                trials.append(await ask(session, question, decode))
                if arguments.show and trials[-1].verdict is not Verdict.RIGHT:
                    print(_shown(trials[-1]), flush=True)
        finally:
            await engine.close()
            await store.close()
    side = "llama-server" if arguments.llama_server else arguments.endpoint or "local engine"
    print("\n".join(lines(trials, f"{path.stem}, {side}, {arguments.preset} preset, seed {arguments.seed}")))


def _shown(trial: Trial) -> str:
    calls = [f"{call.name} {call.arguments}" for call in trial.calls]
    question = trial.question
    said = trial.failure or trial.answer
    return f"{trial.verdict} | {question.mode} | {question.text}\n    {calls}\n    {said[:300]!r}"


if __name__ == "__main__":
    asyncio.run(main())
