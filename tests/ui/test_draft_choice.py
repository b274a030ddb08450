"""The model that drafts, chosen in the model picker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.content import Content

from benchmarks.random_model import Shape, write_model
from qwen3_chat.config import read_settings
from qwen3_chat.engine import Engine
from qwen3_chat.models.fit import Machine
from qwen3_chat.record_copies import replace
from qwen3_chat.texts import Language, set_language, t
from qwen3_chat.ui.model_list import DemoRow, FileRow
from qwen3_chat.ui.screens.draft_choice_screen import DraftChoiceScreen
from qwen3_chat.ui.screens.model_picker_screen import ModelPickerScreen
from tests.fakes import MODEL, FakeEngine
from tests.harness import Harness, open_app
from tests.models.fit.machines import cpu, with_gpus
from tests.models.picker.picker_fixture import PickerFixture
from tests.ui.test_models_screen import engine_of, on_the_screen

SMALL, LARGE = Shape(1, 32, 32, 1, 1, 32), Shape(2, 512, 1024, 4, 2, 64)


@pytest.fixture(params=list(Language), ids=str)
def language(request: pytest.FixtureRequest) -> Iterator[Language]:
    set_language(request.param)
    yield request.param
    set_language(Language.EN)


def install(folder: Path, **shapes: Shape) -> Path:
    """Write models by their names; return the folder of the app."""
    (folder / "models").mkdir(exist_ok=True)
    for name, shape in shapes.items():
        file = f"Qwen3-{name.removeprefix('B').replace('_', '.')}-Q8_0.gguf"
        write_model(folder / "models" / file, shape, is_hollow=True)
    return folder


@asynccontextmanager
async def opened(
    folder: Path,
    machine: Machine | None = None,
    size: tuple[int, int] = (80, 24),
    named_draft: str | None = None,
    engine: Engine | None = None,
) -> AsyncIterator[tuple[Harness, ModelPickerScreen]]:
    picker = PickerFixture(folder, machine or cpu(16), named_draft=named_draft)
    engine = engine or engine_of("Demo", is_demo=True)
    async with open_app(folder, engine, size, model_picker=picker.model_picker()) as app:
        screen = await on_the_screen(app)
        await app.pilot.press(*"8b q8")
        yield app, screen


async def on_the_choices(app: Harness) -> DraftChoiceScreen:
    await app.pilot.press("f4")
    await app.until(lambda: isinstance(app.app.screen, DraftChoiceScreen))
    assert isinstance(app.app.screen, DraftChoiceScreen)
    return app.app.screen


async def is_shown(app: Harness, screen: ModelPickerScreen) -> None:
    await app.until(lambda: app.app.screen is screen)


def stored(folder: Path) -> str | None:
    return read_settings(folder / "config.toml").settings.draft


async def test_the_model_that_drafts_is_chosen_stored_and_taken_back(tmp_path: Path) -> None:
    install(tmp_path, B0_6B=SMALL, B8B=LARGE)
    async with opened(tmp_path, with_gpus(32, 24)) as (app, screen):
        await app.sees("(0.6B: ")
        choices = await on_the_choices(app)
        assert [option.value for option in choices._choices] == ["none", "auto", "0.6B"]
        await app.pilot.press("down", "down")
        await app.sees("0.6B drafts for 8B Q8_0: ")
        await app.pilot.press("enter")
        await is_shown(app, screen)
        assert stored(tmp_path) == "0.6B"
        await app.sees("not measured here")
        choices = await on_the_choices(app)
        assert choices.highlighted.value == "0.6B"
        await app.pilot.press("home", "enter")
        await is_shown(app, screen)
        assert stored(tmp_path) is None


async def test_auto_says_what_it_comes_to_here(tmp_path: Path) -> None:
    install(tmp_path, B0_6B=SMALL, B8B=LARGE)
    for machine, sentence in ((cpu(16), "choose 0.6B itself"), (with_gpus(32, 24), "0.6B drafts for 8B")):
        async with opened(tmp_path, machine, (120, 40)) as (app, screen):
            await on_the_choices(app)
            await app.pilot.press("home", "down")
            await app.sees(sentence)
            await app.pilot.press("enter")
            await is_shown(app, screen)
            assert stored(tmp_path) == "auto"


@pytest.mark.parametrize(
    ("shape", "key"),
    [(LARGE, "ratio"), (Shape(1, 32, 32, 1, 1, 32, experts=4, experts_used=2), "experts"), (None, "damaged")],
)
async def test_a_choice_that_does_not_suit_is_refused_with_a_sentence(
    tmp_path: Path, shape: Shape | None, key: str, language: Language
) -> None:
    install(tmp_path, B8B=LARGE)
    if shape:
        install(tmp_path, B0_6B=shape)
    else:
        (tmp_path / "models" / "Qwen3-0.6B-Q8_0.gguf").write_bytes(b"GGUF")
    async with opened(tmp_path, size=(60, 18)) as (app, _):
        choices = await on_the_choices(app)
        values = [option.value for option in choices._choices]
        await app.pilot.press(*["down"] * values.index("0.6B"), "enter")
        await app.sees("0.6B")
        assert app.app.screen is choices
        assert stored(tmp_path) is None
        option = choices.highlighted
        assert option.state == key
        assert option.sentence.endswith((".", "。"))
        shown = choices.about.content
        assert isinstance(shown, Content)
        assert (shown.plain, shown.spans[0].style) == (option.sentence, "$warning bold")


async def test_another_vocabulary_of_as_many_tokens_is_told_apart(tmp_path: Path) -> None:
    install(tmp_path, B0_6B=SMALL, B8B=LARGE)
    file = tmp_path / "models" / "Qwen3-0.6B-Q8_0.gguf"
    data = file.read_bytes()
    assert b"<think>" in data
    file.write_bytes(data.replace(b"<think>", b"<thinq>", 1))
    async with opened(tmp_path, named_draft="0.6B") as (app, _):
        await app.sees("left out here: its tokens differ")


async def test_one_that_is_gone_is_still_listed_and_said_to_be_missing(tmp_path: Path) -> None:
    install(tmp_path, B8B=LARGE)
    (tmp_path / "config.toml").write_text('draft = "0.6B"\n')
    async with opened(tmp_path) as (app, _):
        await app.sees("not installed")
        choices = await on_the_choices(app)
        assert choices.highlighted.value == "0.6B"
        await app.sees("0.6B is not installed")


async def test_a_choice_replaces_the_one_of_the_start(tmp_path: Path) -> None:
    install(tmp_path, B0_6B=SMALL, B8B=LARGE)
    async with opened(tmp_path, named_draft="0.6B") as (app, screen):
        choices = await on_the_choices(app)
        assert choices.highlighted.value == "0.6B"
        await app.pilot.press("home", "enter")
        await is_shown(app, screen)
        drafts = screen.model_picker.drafts
        assert drafts is not None
        assert (drafts.value, drafts.named_at_start) == ("none", None)


async def test_the_keys_are_legible_in_a_small_terminal(tmp_path: Path, language: Language) -> None:
    install(tmp_path, B0_6B=SMALL, B8B=LARGE)
    async with opened(tmp_path, size=(60, 18)) as (app, _):
        await app.sees(f"F4 {t('ui.key.draft_model')}")
        await app.sees(f"Esc {t('ui.key.close')}")
        await app.sees(t("ui.models.draft"))
        assert sum("Q8_0" in row for row in app.rows()) >= 2


def engine_with(file: Path, draft: str) -> FakeEngine:
    engine = FakeEngine()
    engine.model = replace(MODEL, name="8B", path=str(file), draft=draft)
    return engine


async def test_what_does_not_hold_yet_for_the_model_in_use_is_said(
    tmp_path: Path, language: Language
) -> None:
    install(tmp_path, B0_6B=SMALL, B8B=LARGE)
    engine = engine_with(tmp_path / "models" / "Qwen3-8B-Q8_0.gguf", draft="")
    async with opened(tmp_path, size=(60, 18), named_draft="0.6B", engine=engine) as (app, screen):
        await app.sees(t("ui.drafts.pending"))
        await app.until(lambda: engine.model is not None)
        engine.model = replace(
            MODEL, path=str(tmp_path / "models" / "Qwen3-8B-Q8_0.gguf"), draft="Qwen3 0.6B"
        )
        await app.until(lambda: not app.shows(t("ui.drafts.pending")))
        await on_the_choices(app)
        await app.pilot.press("home", "enter")
        await is_shown(app, screen)
        await app.sees(t("ui.drafts.pending"))


async def test_a_model_that_drafts_is_not_deleted(tmp_path: Path) -> None:
    install(tmp_path, B0_6B=SMALL, B8B=LARGE)
    file = tmp_path / "models" / "Qwen3-0.6B-Q8_0.gguf"
    engine = engine_with(tmp_path / "models" / "Qwen3-8B-Q8_0.gguf", draft="Qwen3 0.6B")
    async with opened(tmp_path, named_draft="0.6b:q8_0", engine=engine) as (app, screen):
        screen.search_input.value = "0.6b"
        await app.sees("0.6B ")
        await app.pilot.press("ctrl+d")
        await app.sees("It drafts for the model in use")
        assert not screen.question
    assert file.exists()


async def test_another_name_of_a_model_is_the_choice_in_force(tmp_path: Path) -> None:
    install(tmp_path, B0_6B=SMALL, B8B=LARGE)
    async with opened(tmp_path, named_draft="0.6b:q8_0") as (app, _):
        choices = await on_the_choices(app)
        assert [option.value for option in choices._choices] == ["none", "auto", "0.6b:q8_0"]
        assert choices.highlighted.value == "0.6b:q8_0"


async def test_settings_that_cannot_be_written_are_said_and_nothing_changes(tmp_path: Path) -> None:
    install(tmp_path, B0_6B=SMALL, B8B=LARGE)
    (tmp_path / "config.toml").mkdir()
    async with opened(tmp_path) as (app, screen):
        await on_the_choices(app)
        await app.pilot.press("down", "down", "enter")
        await is_shown(app, screen)
        await app.sees("The settings in")
        drafts = screen.model_picker.drafts
        assert drafts is not None
        assert drafts.value == "none"


async def test_those_that_suit_come_first_and_several_quants_are_told_apart(tmp_path: Path) -> None:
    install(tmp_path, B0_6B=SMALL, B8B=LARGE, B1_7B=SMALL, B4B=LARGE)
    write_model(tmp_path / "models" / "Qwen3-0.6B-Q4_K_M.gguf", LARGE, is_hollow=True)
    async with opened(tmp_path) as (app, _):
        choices = await on_the_choices(app)
        values = [option.value for option in choices._choices]
        assert values[:2] == ["none", "auto"]
        assert set(values[2:4]) == {"0.6B:Q8_0", "1.7B"}
        assert set(values[4:]) == {"0.6B:Q4_K_M", "4B"}


async def test_a_file_of_ones_own_and_the_demo_have_their_line_too(tmp_path: Path) -> None:
    install(tmp_path, B0_6B=SMALL)
    own = tmp_path / "own.gguf"
    write_model(own, LARGE, is_hollow=True)
    async with opened(tmp_path, named_draft="0.6B", engine=engine_with(own, draft="x")) as (app, screen):
        screen.search_input.value = ""
        await app.until(lambda: {FileRow, DemoRow} <= {type(line) for line in screen.lines.values()})
        for kind, key in ((FileRow, "draft_model.cost.unmeasured"), (DemoRow, "draft_model.phrase.unknown")):
            ids = [line_id for line_id, line in screen.lines.items() if isinstance(line, kind)]
            screen.options.highlighted = list(screen.lines).index(ids[0])
            await app.sees(t(key, need="").split(",")[-1].strip())
        choices = await on_the_choices(app)
        assert choices.highlighted.state == "unknown"
