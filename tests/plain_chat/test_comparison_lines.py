from __future__ import annotations

from collections.abc import Coroutine, Sequence
from pathlib import Path
from time import monotonic

from qwen3_chat.comparison.votes import tally_votes
from qwen3_chat.engine import Engine
from qwen3_chat.events import AnswerDelta, EngineFailed
from qwen3_chat.models.picker import ServerRow
from qwen3_chat.plain_chat.chat_loop import PlainChat
from qwen3_chat.plain_chat.comparison_lines import ComparisonLines
from qwen3_chat.plain_chat.line_renderer import LineRenderer
from qwen3_chat.session import ChatSession, EngineChoice, ServedModel
from qwen3_chat.store import ChatStore
from qwen3_chat.tools.result_notes import NoPaths
from tests.fakes import FakeEngine, Step, finished
from tests.models.picker.picker_fixture import SMALL_MACHINE, PickerFixture

SERVERS = tuple(
    ServerRow(name, "up", ServedModel(name, f"Qwen3-{name}"), is_reachable=True) for name in ("8B", "4B")
)
# 1 and 2 are the chat's own model in its modes, 3 and 4 the demo, 5 and 6 8B, 7 and 8 4B
COMPARE_8B_AND_4B = "/compare", "5 7"


async def no_export() -> None:
    """Write no file."""


async def talk(folder: Path, *lines: str, scripts: dict[str, Sequence[Step]] | None = None) -> str:
    """Type lines into a plain chat; return what was written."""
    written: list[str] = []
    typed = iter(lines)

    def read_line(prompt: str) -> str | None:
        written.append(prompt)
        return next(typed, None)

    def make(choice: EngineChoice) -> Engine:
        assert isinstance(choice, ServedModel)
        default: Sequence[Step] = [AnswerDelta(f"I am {choice.url}.", 3), finished()]
        return FakeEngine((scripts or {}).get(choice.url, default))

    async def to_its_end(turn: Coroutine[None, None, None]) -> None:
        await turn

    store = await ChatStore.open(folder / "chats.db")
    session = ChatSession(FakeEngine(), store, lambda: 1, monotonic)
    renderer = LineRenderer(written.append, monotonic, True, NoPaths())
    picker = PickerFixture(folder, SMALL_MACHINE, engine_factory=make, servers=SERVERS).model_picker()
    comparisons = ComparisonLines(session, store, lambda: picker, renderer.write_line, read_line, to_its_end)
    chat = PlainChat(session, store, renderer, read_line, to_its_end, no_export, comparisons=comparisons)
    try:
        await chat.run()
    finally:
        await store.close()
    return "".join(written)


async def tallies(folder: Path) -> list[tuple[str, str, int, int]]:
    store = await ChatStore.open(folder / "chats.db")
    try:
        tallied = tally_votes(await store.votes())
    finally:
        await store.close()
    return [(tally.first[0], tally.second[0], tally.wins, tally.losses) for tally in tallied]


async def test_the_answers_come_one_after_another_and_the_names_after_the_vote(tmp_path: Path) -> None:
    said = await talk(tmp_path, "Which?", *COMPARE_8B_AND_4B, "1")
    listed, _, answers = said.partition("Which answer is best?")
    assert "5: Qwen3-8B · 8B · thinking\n" in listed
    assert "Answer 1 of 2 is on its way.\nAnswer 2 of 2 is on its way.\n" in listed
    assert {"I am 8B.", "I am 4B."} <= set(listed.splitlines())
    assert "· thinking” leads “Qwen3-" in answers
    assert not set("\r\x1b") & set(said)
    ((_, _, wins, losses),) = await tallies(tmp_path)
    assert (wins, losses) == (1, 0)


async def test_a_vote_can_be_given_later(tmp_path: Path) -> None:
    said = await talk(tmp_path, "Which?", *COMPARE_8B_AND_4B, "", "/compare", "0")
    assert said.count("is on its way") == 2  # nobody is asked again
    assert "No vote; /compare asks again." in said
    assert "are level at 0 : 0" in said


async def test_other_numbers_begin_nothing(tmp_path: Path) -> None:
    for numbers in ("5", "5 6 7 8 1", "99 100", "all", ""):
        said = await talk(tmp_path, "Which?", "/compare", numbers)
        assert "is on its way" not in said


async def test_without_a_question_there_is_nothing_to_compare(tmp_path: Path) -> None:
    assert "There is no question to compare answers to." in await talk(tmp_path, "/compare")


async def test_a_model_that_fails_says_why(tmp_path: Path) -> None:
    broken: Sequence[Step] = [EngineFailed("engine.no_model")]
    said = await talk(tmp_path, "Which?", *COMPARE_8B_AND_4B, scripts={"4B": broken})
    assert "Fewer than two models have answered" in said
    assert await tallies(tmp_path) == []
