from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from qwen3_chat.chat import Role, ThinkingMode
from qwen3_chat.engine import Engine
from qwen3_chat.events import AnswerDelta, EngineFailed, ReasoningDelta
from qwen3_chat.models.picker import ServerRow
from qwen3_chat.session import EngineChoice, LocalModel, ServedModel
from qwen3_chat.session.engine_choice import encode_choice
from qwen3_chat.store.records import Entrant, Verdict
from qwen3_chat.texts import Language, set_language
from qwen3_chat.ui.screens.comparison_choice_screen import ComparisonChoiceScreen
from qwen3_chat.ui.screens.comparison_screen import ComparisonPhase, ComparisonScreen
from tests.fakes import MODEL, REPLY, FakeEngine, Step, finished
from tests.harness import Harness, open_app
from tests.models.picker.picker_fixture import SMALL_MACHINE, PickerFixture

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
        self.n_closes = 0

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
        default = [reply(f"This is {name}.", "Hm.")] * 4
        self.made.append(NamedEngine(name, *self.scripts.get(name, default)))
        return self.made[-1]


def served(name: str, mode: ThinkingMode = ThinkingMode.THINK) -> Entrant:
    row = next(row for row in SERVERS if row.choice.model == name)
    return Entrant(f"{name} · {row.title}", mode, encode_choice(row.choice))


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


async def choosing(app: Harness, *entrants: Entrant) -> ComparisonChoiceScreen:
    """Open the choice, and choose these models."""
    await app.pilot.press("alt+v")
    await app.until(lambda: isinstance(app.app.screen, ComparisonChoiceScreen))
    screen = app.app.screen
    assert isinstance(screen, ComparisonChoiceScreen)
    for entrant in entrants:
        await app.until(lambda e=entrant: e in screen.entrants)
        screen.options.highlighted = screen.entrants.index(entrant)
        await app.pilot.press("space")
    return screen


async def comparing(app: Harness, *entrants: Entrant) -> ComparisonScreen:
    """Have these models answer, and wait until there is something to vote about."""
    screen = await choosing(app)
    for entrant in screen.chosen:
        screen.options.highlighted = screen.entrants.index(entrant)
        await app.pilot.press("space")
    for entrant in entrants:
        await app.until(lambda e=entrant: e in screen.entrants)
        screen.options.highlighted = screen.entrants.index(entrant)
        await app.pilot.press("space")
    await app.pilot.press("enter")
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
        await app.sees("Qwen3-8B · big · thinking leads Qwen3-4B · small · thinking 1 : 0")
        await app.pilot.press("escape")
        await app.until(lambda: app.app.screen is app.screen)
        assert app.session.messages[-1].message.content == "Nine."
        await app.sees("Qwen3-8B")
        assert app.screen.versions.chosen.count == 3
