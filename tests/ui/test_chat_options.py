"""Tests of the options of one chat: system prompt and sampling."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input

from qwen3_chat.chat import Role
from qwen3_chat.config.prompt_library import load_prompts
from qwen3_chat.errors import UsageError
from qwen3_chat.session.turn_options import OPTION_FIELDS
from qwen3_chat.store.records import ChatOptions
from qwen3_chat.texts import Language
from qwen3_chat.ui.screens.chat_options_screen import ChatOptionsScreen
from qwen3_chat.ui.screens.prompts_screen import PromptsScreen
from tests.fakes import FakeEngine
from tests.harness import Harness, Start


async def opened(app: Harness) -> ChatOptionsScreen:
    await app.pilot.press("ctrl+l")
    await app.until(lambda: isinstance(app.app.screen, ChatOptionsScreen))
    screen = app.app.screen
    assert isinstance(screen, ChatOptionsScreen)
    return screen


async def test_what_is_chosen_for_a_chat_is_sent_shown_and_kept_with_it(start: Start) -> None:
    engine = FakeEngine()
    async with start(engine, size=(110, 40)) as app:
        screen = await opened(app)
        assert screen.query_one("#temperature", Input).placeholder == "0.6"
        await app.pilot.press(*"Rhyme", "tab", *"0.2")
        screen.query_one("#top_k", Input).value = "5"
        screen.query_one("#max_tokens", Input).value = "99"
        await app.pilot.press("ctrl+s")
        await app.sees("own system prompt · Temperature 0.2 · Top k 5")
        await app.turn("One")
        request = engine.requests[0]
        assert (request.messages[0].role, request.messages[0].content) == (Role.SYSTEM, "Rhyme")
        assert (request.sampling.temperature, request.sampling.top_p, request.sampling.top_k) == (
            0.2,
            0.95,
            5,
        )
        assert request.max_tokens == 99
        await app.pilot.press("ctrl+n")
        await app.turn("Two")
        assert engine.requests[1].messages[0].role is Role.USER
        assert engine.requests[1].sampling.temperature == 0.6
        assert not app.shows("Temperature")
    async with start(FakeEngine(), resume=1, size=(110, 40)) as app:
        assert app.session.system == "Rhyme"
        assert app.session.chat_options == ChatOptions(temperature=0.2, top_k=5, max_tokens=99)
        screen = await opened(app)
        assert screen.query_one("#temperature", Input).value == "0.2"
        await app.pilot.press("ctrl+d", "ctrl+s")
        await app.until(lambda: app.session.chat_options == ChatOptions())
        assert (await app.store.chat(1)).options == ChatOptions()


async def test_a_number_out_of_range_is_reported_beside_it_and_not_taken(start: Start) -> None:
    async with start(size=(110, 40)) as app:
        screen = await opened(app)
        screen.query_one("#temperature", Input).value = "3"
        await app.sees("a number from 0 to 2")
        await app.pilot.press("ctrl+s")
        assert app.app.screen is screen
        screen.query_one("#temperature", Input).value = "1"
        await app.until(lambda: not app.shows("a number from 0 to 2"))
        await app.pilot.press("escape")
        await app.until(lambda: app.app.screen is app.screen)
        assert app.session.chat_options == ChatOptions()


async def test_a_prompt_of_the_library_becomes_the_system_prompt(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "prompts.toml"
    file.write_text('[[prompts]]\ntitle = "Pirate"\ntext = "Talk like a pirate."\n', encoding="utf-8")
    async with start(size=(110, 50)) as app:
        await opened(app)
        await app.pilot.press("ctrl+l")
        await app.until(lambda: isinstance(app.app.screen, PromptsScreen))
        await app.sees("Patient teacher")
        await app.pilot.press("enter")
        await app.until(lambda: isinstance(app.app.screen, ChatOptionsScreen))
        await app.pilot.press("ctrl+s")
        await app.until(lambda: app.session.system == "Talk like a pirate.")


@pytest.mark.parametrize("language", Language)
def test_the_library_ships_prompts_in_each_language(language: Language) -> None:
    prompts = load_prompts(None, language).prompts
    assert len(prompts) >= 6
    assert len({prompt.title for prompt in prompts}) == len(prompts)
    assert all(len(prompt.text) > 30 for prompt in prompts)


@pytest.mark.parametrize(
    "content", ["[[prompts]]\ntitle = 1", "no toml", "[[prompts]]\ntitle = 'a'\ntext = 'b'\nextra = 1"]
)
def test_a_bad_file_of_prompts_is_reported_and_leaves_the_shipped_ones(tmp_path: Path, content: str) -> None:
    file = tmp_path / "prompts.toml"
    file.write_text(content, encoding="utf-8")
    library = load_prompts(file, Language.EN)
    assert library.prompts == load_prompts(None, Language.EN).prompts
    assert library.problem is not None
    assert load_prompts(tmp_path / "none.toml", Language.EN).problem is None


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("temperature", "", None),
        ("temperature", " 0.7 ", 0.7),
        ("temperature", "0,7", 0.7),
        ("temperature", "2.1", "a number from 0 to 2"),
        ("temperature", "warm", "a number from 0 to 2"),
        ("temperature", "nan", "a number from 0 to 2"),
        ("top_p", "0", "a number from 0.01 to 1"),
        ("top_k", "20", 20),
        ("top_k", "2.5", "a whole number from 0 to 1,000"),
        ("presence_penalty", "-2", -2.0),
        ("max_tokens", "0", "a whole number from 1 to 1,000,000"),
        ("thinking_budget", "0", 0),
    ],
)
def test_numbers_are_read_within_their_ranges(name: str, text: str, value: float | str | None) -> None:
    field = next(field for field in OPTION_FIELDS if field.name == name)
    if isinstance(value, str):
        with pytest.raises(UsageError, match=value.replace("+", "\\+")):
            field.parse(text)
    else:
        assert field.parse(text) == value


async def test_a_bad_value_that_was_typed_just_before_is_not_saved(start: Start) -> None:
    async with start(size=(110, 45)) as app:
        screen = await opened(app)
        screen.query_one("#temperature", Input).value = "99"
        screen.action_save()  # before the message about the change is read
        await app.pilot.pause()
        assert app.app.screen is screen
        assert app.app.is_running
