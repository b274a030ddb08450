from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from qwen3_chat.chat import StopReason, ThinkingMode
from qwen3_chat.engine import Engine
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.events import AnswerDelta, EngineFailed, EventSink, TurnFinished
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest
from qwen3_chat.session import ChatSession, EngineChoice, LocalModel, ServedModel
from qwen3_chat.session.blind_comparison import BlindComparison, ComparisonProgress
from qwen3_chat.session.chat_tree import ChatTree
from qwen3_chat.session.engine_choice import decode_choice, encode_choice
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import Comparison, Entrant, VoteOutcome
from tests.conftest import REPOSITORY
from tests.fakes import MODEL, FakeEngine, Step, finished
from tests.session.killed_comparison import ENTRANTS

THINK, NO_THINK = ThinkingMode.THINK, ThinkingMode.NO_THINK


class Watched(FakeEngine):
    """An engine that notes in a journal when it answers and when it is closed."""

    def __init__(
        self, name: str, journal: list[str], *scripts: Sequence[Step], loading: Sequence[Step] = ()
    ) -> None:
        super().__init__(*scripts, loading=loading)
        self.model = replace(MODEL, name=name, path=f"/models/{name}.gguf")
        self._name, self._journal = name, journal
        self.begun = asyncio.Event()

    async def generate(self, request: ChatRequest, on_event: EventSink) -> TurnFinished:
        """Note the mode."""
        self.begun.set()
        self._journal.append(f"{self._name} answers in {request.mode}")
        return await super().generate(request, on_event)

    async def close(self) -> None:
        """Note it."""
        self._journal.append(f"{self._name} is closed")


class Setting:
    """A chat with one question that the chat's own model has answered, and the engines of a comparison."""

    def __init__(self, store: ChatStore) -> None:
        self.store = store
        self.journal: list[str] = []
        self.engines: dict[str, Engine | Exception] = {}
        self.own = Watched("own", self.journal)
        self.session = ChatSession(self.own, store, draw_seed=lambda: 1, clock=lambda: 0.0)
        self.comparisons = BlindComparison(self.session, store, self.make)
        self.progress: list[ComparisonProgress] = []

    def make(self, choice: EngineChoice) -> Engine:
        """Make the engine of a choice, or fail."""
        name = choice.path.stem if isinstance(choice, LocalModel) else choice.url
        engine = self.engines.get(name) or Watched(name, self.journal)
        if isinstance(engine, Exception):
            raise engine
        return engine

    async def compare(self, *entrants: Entrant) -> Comparison:
        """Ask the question if need be, and have these models answer it."""
        if not self.session.messages:
            await self.session.send("Which?", lambda event: None)
            self.journal.clear()
        comparison = await self.comparisons.begin(self.session.messages[0].id, entrants)
        return await self.comparisons.run(comparison, self.progress.append)


def local(name: str, mode: ThinkingMode = THINK) -> Entrant:
    return Entrant(name, mode, encode_choice(LocalModel(Path(f"/models/{name}.gguf"))))


def served(name: str, mode: ThinkingMode = THINK) -> Entrant:
    return Entrant(name, mode, encode_choice(ServedModel(name)))


def saying(text: str, setting: Setting, name: str, reason: StopReason = StopReason.END_OF_TURN) -> Watched:
    return Watched(name, setting.journal, [AnswerDelta(text, 3), finished(reason)])


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    store = await ChatStore.open(tmp_path / "chats.db")
    yield Setting(store)
    await store.close()


def texts(comparison: Comparison) -> dict[str, str]:
    return {
        answer.entrant.title: answer.message.message.content
        for answer in comparison.answers
        if answer.message is not None
    }


async def test_answers_become_versions_and_the_chat_stays_where_it_was(setting: Setting) -> None:
    setting.engines = {"big": saying("Nine.", setting, "big"), "small": saying("Ten.", setting, "small")}
    comparison = await setting.compare(served("big"), served("small"))
    assert texts(comparison) == {"big": "Nine.", "small": "Ten."}
    question, shown = setting.session.messages
    assert shown.message.content == "It is 3."
    assert await setting.store.branch(question.chat_id) == setting.session.messages
    versions = await ChatTree(setting.session, setting.store).versions()
    assert versions.for_message(shown.id).count == 3


async def test_each_local_model_is_loaded_once_and_only_one_at_a_time(setting: Setting) -> None:
    await setting.compare(local("own"), local("big"), local("big", NO_THINK))
    assert setting.journal[0] == "own answers in think"
    assert sorted(setting.journal[2:4]) == ["big answers in no_think", "big answers in think"]
    assert [setting.journal[1], *setting.journal[4:]] == ["own is closed", "big is closed"]


async def test_a_server_takes_no_memory_of_the_chats_own_model(setting: Setting) -> None:
    await setting.compare(served("big"), served("small"))
    assert "own is closed" not in setting.journal


async def test_the_winner_is_shown_after_the_vote(setting: Setting) -> None:
    setting.engines = {"big": saying("Nine.", setting, "big"), "small": saying("Ten.", setting, "small")}
    comparison = await setting.compare(served("big"), served("small"))
    winner = [entrant.title for entrant in comparison.entrants].index("small")
    ended = await setting.comparisons.vote(comparison, VoteOutcome.BEST, winner)
    assert (ended.verdict, ended.winner) == (VoteOutcome.BEST, winner)
    assert setting.session.messages[-1].message.content == "Ten."


async def test_no_difference_leaves_the_answer_that_was_shown(setting: Setting) -> None:
    comparison = await setting.compare(served("big"), served("small"))
    before = setting.session.messages
    await setting.comparisons.vote(comparison, VoteOutcome.EQUAL)
    assert setting.session.messages == before


async def test_a_model_that_fails_is_left_out_and_says_why(setting: Setting) -> None:
    setting.engines = {
        "big": UsageError(ErrorCode.SEVERAL_MODELS_NAMED),
        "small": Watched("small", setting.journal, loading=[EngineFailed("engine.no_model")]),
    }
    comparison = await setting.compare(served("big"), served("small"), served("third"), served("fourth"))
    assert sorted(texts(comparison)) == ["fourth", "third"]
    assert len(setting.comparisons.failures) == 2
    assert comparison.verdict is None


async def test_a_single_answer_is_nothing_to_vote_about(setting: Setting) -> None:
    setting.engines = {"big": UsageError(ErrorCode.SEVERAL_MODELS_NAMED)}
    comparison = await setting.compare(served("big"), served("small"))
    assert comparison.verdict is VoteOutcome.NO_VOTE


async def test_a_choice_that_can_not_be_read_is_a_failure_of_its_model(setting: Setting) -> None:
    comparison = await setting.compare(Entrant("odd", THINK, "{"), served("big"), served("small"))
    assert sorted(texts(comparison)) == ["big", "small"]
    assert list(setting.comparisons.failures.values()) == ["This model can't be found any more."]


async def test_a_stop_keeps_what_is_there_and_the_rest_is_asked_later(setting: Setting) -> None:
    held = asyncio.Event()
    answers: list[Step] = [AnswerDelta("Half", 1), held, finished(StopReason.CANCELLED)]
    slow = Watched("slow", setting.journal, answers)
    setting.engines = {"slow": slow}
    entrants = (served("quick"), served("slow"))
    await setting.session.send("Which?", lambda event: None)
    comparison = await setting.comparisons.begin(setting.session.messages[0].id, entrants)
    task = asyncio.create_task(setting.comparisons.run(comparison, setting.progress.append))
    await slow.begun.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert "slow is closed" in setting.journal
    assert setting.session.messages[-1].message.content == "It is 3."
    setting.engines = {"slow": saying("Done.", setting, "slow")}
    setting.journal.clear()
    (waiting,) = await setting.store.open_comparisons(comparison.chat_id or 0)
    done = await setting.comparisons.run(waiting, setting.progress.append)
    assert texts(done)["slow"] == "Done."
    assert done.is_complete


async def test_a_question_that_was_not_answered_gets_an_answer_whatever_the_vote(setting: Setting) -> None:
    await setting.session.send("Which?", lambda event: None)
    setting.session.show_branch(setting.session.messages[:1])
    comparison = await setting.compare(served("big"), served("small"))
    assert len(setting.session.messages) == 1
    await setting.comparisons.vote(comparison, VoteOutcome.EQUAL)
    assert len(setting.session.messages) == 2


async def test_a_comparison_asks_without_the_tools_of_the_chat(setting: Setting) -> None:
    options = replace(setting.session.options, tools=("calculator",))
    setting.session.set_options(options)
    engine = Watched("big", setting.journal)
    setting.engines = {"big": engine}
    await setting.compare(served("big"), served("small"))
    assert [request.tools for request in engine.requests] == [()]
    assert setting.session.tool_names == ("calculator",)


@pytest.mark.parametrize(
    "choice",
    [
        LocalModel(Path("/models/a.gguf")),
        LocalModel(Path("/models/a.gguf"), 4096),
        ServedModel("http://host:1"),
        ServedModel("name", "Qwen3-8B", "vllm", 8192),
    ],
)
def test_a_stored_choice_is_read_as_it_was(choice: EngineChoice) -> None:
    assert decode_choice(encode_choice(choice)) == choice


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"path": 3}', '{"url": null}'])
def test_a_text_that_is_no_choice_is_refused(text: str) -> None:
    with pytest.raises((ValueError, msgspec.MsgspecError)):
        decode_choice(text)


def killed(moment: str, folder: Path) -> None:
    """Run a comparison in a process that is killed at a moment."""
    script = REPOSITORY / "tests" / "session" / "killed_comparison.py"
    paths = os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "scripts")))
    program = [sys.executable, str(script), moment, str(folder)]
    done = subprocess.run(program, env=os.environ | {"PYTHONPATH": paths}, check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX has kill -9")
async def test_a_comparison_that_was_killed_between_answers_goes_on_with_the_missing_one(
    tmp_path: Path,
) -> None:
    await asyncio.to_thread(killed, "answers", tmp_path)
    store = await ChatStore.open(tmp_path / "chats.db")
    try:
        chat = await store.latest_chat()
        assert chat is not None
        (waiting,) = await store.open_comparisons(chat.id)
        assert sorted(waiting.entrants, key=lambda entrant: entrant.title) == list(ENTRANTS)
        assert [answer.is_whole for answer in waiting.answers].count(True) == 1
        setting = Setting(store)
        await setting.session.resume(chat.id)
        assert setting.session.messages[-1].message.content == "Half of"
        done = await setting.comparisons.run(waiting, setting.progress.append)
        assert done.is_complete
        assert len([line for line in setting.journal if "answers" in line]) == 1
        assert setting.session.messages[-1].message.content == "It is 3."
    finally:
        await store.close()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX has kill -9")
async def test_a_vote_outlives_a_kill_right_after_it(tmp_path: Path) -> None:
    await asyncio.to_thread(killed, "vote", tmp_path)
    store = await ChatStore.open(tmp_path / "chats.db")
    try:
        (vote,) = await store.votes()
        assert (vote.verdict, vote.winner) == (VoteOutcome.BEST, 1)
    finally:
        await store.close()
