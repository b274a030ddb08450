from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from qwen3_chat.chat import StopReason, ThinkingMode
from qwen3_chat.comparison.votes import tally_votes
from qwen3_chat.engine import Engine
from qwen3_chat.events import AnswerDelta, EngineFailed, EventSink, ReasoningDelta
from qwen3_chat.models.picker import ServerRow
from qwen3_chat.record_copies import replace
from qwen3_chat.session import EngineChoice, LocalModel, ServedModel
from qwen3_chat.session.engine_choice import encode_choice
from qwen3_chat.store.records import Entrant
from qwen3_chat.texts import Language, set_language
from qwen3_chat.ui.message_entries import NOTICE
from qwen3_chat.ui.screens.comparison_choice_screen import ComparisonChoiceScreen
from qwen3_chat.ui.screens.comparison_screen import ComparisonPhase, ComparisonScreen
from tests.fakes import MODEL, FakeEngine, Step, finished
from tests.harness import Harness, open_app
from tests.models.picker.picker_fixture import SMALL_MACHINE, PickerFixture, install_files

SERVERS = (
    ServerRow("big", "up", ServedModel("big", "Qwen3-8B"), is_reachable=True),
    ServerRow("small", "up", ServedModel("small", "Qwen3-4B"), is_reachable=True),
)


def reply(text: str, thinking: str = "") -> Sequence[Step]:
    return (*([ReasoningDelta(thinking, 3)] if thinking else []), AnswerDelta(text, 4), finished())


class NamedEngine(FakeEngine):
    """An engine that counts its closes; its model is what it was chosen as."""

    def __init__(self, name: str, *scripts: Sequence[Step], loading: Sequence[Step] = ()) -> None:
        super().__init__(*scripts, loading=loading)
        self.model = replace(MODEL, name=name, quant="")
        self.name = name
        self.n_closes = self.n_loads = 0

    async def load(self, on_event: EventSink) -> None:
        """Count, and play the script."""
        self.n_loads += 1
        await super().load(on_event)

    async def close(self) -> None:
        """Count."""
        self.n_closes += 1


class Bench:
    """The engines of a test, by the model that they were chosen for."""

    def __init__(self, folder: Path) -> None:
        self.scripts: dict[str, Sequence[Sequence[Step]]] = {}
        self.made: list[NamedEngine] = []
        self.picker = PickerFixture(
            folder, SMALL_MACHINE, engine_factory=self.make, servers=SERVERS
        ).model_picker()

    def make(self, choice: EngineChoice) -> Engine:
        """Make the engine of a choice."""
        name = (choice.model or "") if isinstance(choice, ServedModel) else choice.path.stem
        default = [reply(f"From {name.removeprefix('Qwen3-')}.", "Hm.")] * 4
        self.made.append(NamedEngine(name, *self.scripts.get(name, default)))
        return self.made[-1]


def served(name: str, mode: ThinkingMode = ThinkingMode.THINK) -> Entrant:
    row = next(row for row in SERVERS if row.choice.model == name)
    return Entrant(f"{name} · {row.title}", mode, encode_choice(row.choice))


DEMO = Entrant("Qwen3-chat demo", ThinkingMode.THINK, encode_choice(LocalModel(Path("demo.gguf").absolute())))
"""The demo of the picker's fixture."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@asynccontextmanager
async def asked(
    bench: Bench, folder: Path, size: tuple[int, int] = (120, 40), own: FakeEngine | None = None
) -> AsyncIterator[Harness]:
    """Open the app and ask a question."""
    async with open_app(folder, own or FakeEngine(), size, model_picker=bench.picker) as app:
        await app.turn("Which is larger?")
        yield app


async def choosing(app: Harness) -> ComparisonChoiceScreen:
    """Open the choice, with nothing chosen but what it has chosen by itself."""
    await app.pilot.press("alt+v")
    await app.until(lambda: isinstance(app.app.screen, ComparisonChoiceScreen))
    screen = app.app.screen
    assert isinstance(screen, ComparisonChoiceScreen)
    await app.until(lambda: any("4B" in entrant.title for entrant in screen.entrants))
    return screen


async def choose(app: Harness, screen: ComparisonChoiceScreen, *entrants: Entrant) -> None:
    """Choose models, or no longer."""
    for entrant in entrants:
        screen.options.highlighted = screen.entrants.index(entrant)
        await app.pilot.press("space")


async def begun(app: Harness, *entrants: Entrant) -> None:
    """Have these models and no others answer."""
    screen = await choosing(app)
    await choose(app, screen, *screen.chosen)
    await choose(app, screen, *entrants)
    assert set(screen.chosen) == set(entrants)
    await app.pilot.press("enter")


async def comparing(app: Harness, *entrants: Entrant) -> ComparisonScreen:
    """Have these models answer, and wait until there is something to vote about."""
    await begun(app, *(entrants or (served("Qwen3-8B"), served("Qwen3-4B"))))
    return await on_the_screen(app)


async def on_the_screen(app: Harness, phase: ComparisonPhase = ComparisonPhase.VOTING) -> ComparisonScreen:
    await app.until(lambda: isinstance(app.app.screen, ComparisonScreen) and app.app.screen.phase is phase)
    screen = app.app.screen
    assert isinstance(screen, ComparisonScreen)
    return screen


def number_of(app: Harness, screen: ComparisonScreen, text: str) -> int:
    """The number under which an answer with a text stands."""
    return next(
        pane.number
        for pane in screen.panes
        if text in pane.transcript.transcript_layout.message_views[0].answer
    )


async def test_a_vote_names_the_models_and_the_best_answer_becomes_the_one_that_is_shown(
    bench: Bench, tmp_path: Path
) -> None:
    async with asked(bench, tmp_path) as app:
        bench.scripts = {"Qwen3-8B": [reply("Nine.")], "Qwen3-4B": [reply("Eleven.")]}
        screen = await comparing(app, served("Qwen3-8B"), served("Qwen3-4B"))
        assert app.shows("Nine.")
        assert app.shows("Eleven.")
        assert not app.shows("Qwen3-")
        await app.pilot.press(str(number_of(app, screen, "Nine.")))
        await on_the_screen(app, ComparisonPhase.OVER)
        await app.sees("“Qwen3-8B · big · thinking” leads “Qwen3-4B · small · thinking” 1 : 0")
        await app.pilot.press("escape")
        await app.until(lambda: app.app.screen is app.screen)
        assert app.session.messages[-1].message.content == "Nine."
        await app.sees("Qwen3-8B")
        assert app.screen.versions.chosen.count == 3


async def test_nothing_tells_the_models_apart_before_the_vote(bench: Bench, tmp_path: Path) -> None:
    async with asked(bench, tmp_path) as app:
        screen = await comparing(app, served("Qwen3-8B"), served("Qwen3-4B", ThinkingMode.NO_THINK))
        for pane in screen.panes:
            (view,) = pane.transcript.transcript_layout.message_views
            assert not view.has_thinking
            assert (pane.border_title, pane.border_subtitle or "") == (str(pane.number), "")
        await app.pilot.press("n")
        await on_the_screen(app, ComparisonPhase.OVER)
        assert any(pane.transcript.transcript_layout.message_views[0].has_thinking for pane in screen.panes)
        assert await app.store.votes() == ()


async def test_a_comparison_that_is_left_waits_without_names(bench: Bench, tmp_path: Path) -> None:
    async with asked(bench, tmp_path) as app:
        await comparing(app)
        await app.pilot.press("escape")
        await app.until(lambda: app.app.screen is app.screen)
        await app.until(lambda: app.screen.versions.chosen.count == 3)
        await app.pilot.press("f3")
        await app.sees("Name hidden until you vote")
        assert not app.shows("Qwen3-")
        await app.pilot.press("alt+v")
        screen = await on_the_screen(app)
        await app.pilot.press("0")
        await on_the_screen(app, ComparisonPhase.OVER)
        await app.sees("are level at 0 : 0 on your questions. No difference: 1.")
        await app.pilot.press("enter")
        await app.until(lambda: app.app.screen is app.screen)
        assert not app.shows("Name hidden")
        assert len(bench.made) == len(screen.panes)  # nobody was asked twice


async def test_esc_stops_the_models_and_the_chats_own_one_is_loaded_again(
    bench: Bench, tmp_path: Path
) -> None:
    own = NamedEngine("own")
    held = asyncio.Event()
    install_files(tmp_path, "Qwen3-0.6B-Q8_0.gguf")
    bench.scripts = {"Qwen3-0.6B-Q8_0": [[AnswerDelta("Half", 1), held, finished(StopReason.CANCELLED)]]}
    async with asked(bench, tmp_path, own=own) as app:
        screen = await choosing(app)
        small = next(entrant for entrant in screen.entrants if "0.6B" in entrant.title)
        await app.pilot.press("escape")
        await begun(app, small, served("Qwen3-8B"))
        await app.until(lambda: any(engine.requests for engine in bench.made if "0.6B" in engine.name))
        loads = own.n_loads
        await app.pilot.press("escape")
        await app.until(lambda: app.app.screen is app.screen and not app.screen.is_answering)
        await app.until(lambda: own.n_loads > loads)
        assert own.n_closes == 1
        assert app.session.messages[-1].message.content == "It is 3."
        screen = await choosing(app)
        assert set(screen.chosen) == {small, served("Qwen3-8B")}


async def test_a_model_that_can_not_answer_says_why_and_the_others_are_voted_about(
    bench: Bench, tmp_path: Path
) -> None:
    async with asked(bench, tmp_path) as app:
        bench.scripts = {"Qwen3-4B": [[EngineFailed("engine.no_model")]]}
        screen = await comparing(app, served("Qwen3-8B"), served("Qwen3-4B"), DEMO)
        broken = next(
            pane.number
            for pane in screen.panes
            if pane.transcript.transcript_layout.message_views[0].entry.role == NOTICE
        )
        await app.pilot.press(str(broken))
        assert screen.phase is ComparisonPhase.VOTING
        await app.pilot.press("0")
        await on_the_screen(app, ComparisonPhase.OVER)
        assert [tally.equal for tally in tally_votes(await app.store.votes())] == [1]


async def test_one_answer_alone_is_nothing_to_vote_about(bench: Bench, tmp_path: Path) -> None:
    async with asked(bench, tmp_path) as app:
        bench.scripts = {"Qwen3-4B": [[EngineFailed("engine.no_model")]]}
        await begun(app, served("Qwen3-8B"), served("Qwen3-4B"))
        await on_the_screen(app, ComparisonPhase.OVER)
        await app.sees("Fewer than two models have answered")
        await app.pilot.press("escape")
        await app.until(lambda: app.app.screen is app.screen)
        assert app.session.chat_id is not None
        assert await app.store.open_comparisons(app.session.chat_id) == ()


async def test_two_to_four_models_can_be_chosen(bench: Bench, tmp_path: Path) -> None:
    async with asked(bench, tmp_path) as app:
        screen = await choosing(app)
        await choose(app, screen, *screen.chosen)
        await app.pilot.press("enter")
        await app.sees("Choose 2 to 4 models with Space.")
        await choose(app, screen, *screen.entrants[:5])
        assert len(screen.chosen) == 4


async def test_a_typed_tag_leaves_one_mode_to_choose(bench: Bench, tmp_path: Path) -> None:
    async with open_app(tmp_path, FakeEngine(), (80, 24), model_picker=bench.picker) as app:
        await app.turn("Which is larger? /no_think")
        screen = await choosing(app)
        assert {entrant.mode for entrant in screen.entrants} == {ThinkingMode.NO_THINK}


async def test_the_marked_question_is_compared_not_the_latest(bench: Bench, tmp_path: Path) -> None:
    async with asked(bench, tmp_path) as app:
        await app.turn("And then?")
        app.screen.transcript.marked = app.session.messages[0].id
        await app.pilot.press("v")
        await app.until(lambda: isinstance(app.app.screen, ComparisonChoiceScreen))
        screen = app.app.screen
        assert isinstance(screen, ComparisonChoiceScreen)
        await app.until(lambda: served("Qwen3-4B") in screen.entrants)
        await choose(app, screen, *screen.chosen, served("Qwen3-8B"), served("Qwen3-4B"))
        await app.pilot.press("enter")
        await on_the_screen(app)
        assert [len(engine.requests[0].messages) for engine in bench.made] == [1, 1]
        await app.pilot.press("1")
        await on_the_screen(app, ComparisonPhase.OVER)
        await app.pilot.press("escape")
        await app.until(lambda: len(app.session.messages) == 2)


async def test_the_slash_command_compares(bench: Bench, tmp_path: Path) -> None:
    async with asked(bench, tmp_path) as app:
        await app.say("/compare")
        await app.until(lambda: isinstance(app.app.screen, ComparisonChoiceScreen))


@pytest.mark.parametrize(
    "size",
    [
        (60, 18),
        (120, 40),
        pytest.param((80, 24), marks=pytest.mark.full),
        pytest.param((200, 60), marks=pytest.mark.full),
    ],
)
@pytest.mark.parametrize("language", list(Language))
async def test_the_answers_are_columns_where_they_fit_and_tabs_elsewhere(
    bench: Bench, tmp_path: Path, size: tuple[int, int], language: Language
) -> None:
    set_language(language)
    try:
        async with asked(bench, tmp_path, size) as app:
            bench.scripts = {"Qwen3-8B": [reply("Nine.")], "Qwen3-4B": [reply("Ten.")]}
            screen = await comparing(app)
            assert screen.has_class("-tabs") == (size[0] < 76)
            shown = [app.shows("Nine."), app.shows("Ten.")]
            assert shown.count(True) == (1 if screen.has_class("-tabs") else 2)
            await app.pilot.press("right")
            if screen.has_class("-tabs"):
                await app.until(lambda: [app.shows("Nine."), app.shows("Ten.")] == shown[::-1])
            await app.pilot.press("2")
            await on_the_screen(app, ComparisonPhase.OVER)
            await app.sees("1 : 0")
    finally:
        set_language(Language.EN)
