"""Tests of the titles that the model generates while the user waits for nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from qwen3_chat.events import AnswerDelta
from qwen3_chat.store.records import TitledBy
from qwen3_chat.ui.controllers import title_controller
from tests.fakes import REPLY, FakeEngine, finished
from tests.harness import Harness, open_app


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(title_controller, "IDLE_S", 0.01)


@asynccontextmanager
async def naming_app(folder: Path, engine: FakeEngine) -> AsyncIterator[Harness]:
    async with open_app(folder, engine, (100, 24), titles_chats=True) as app:
        yield app


async def test_a_chat_is_named_after_its_first_answer(tmp_path: Path) -> None:
    engine = FakeEngine(REPLY, [AnswerDelta("Counting letters"), finished()])
    async with naming_app(tmp_path, engine) as app:
        await app.turn("How many?")
        await app.until(lambda: "Counting letters" in app.rows()[0])
        assert [chat.title for chat in await app.store.chats()] == ["Counting letters"]
        await app.turn("And now?")
        assert len(engine.requests) == 3


async def test_a_title_that_will_not_do_leaves_the_first_words(tmp_path: Path) -> None:
    engine = FakeEngine(REPLY, [AnswerDelta("One\ntwo\nthree"), finished()])
    async with naming_app(tmp_path, engine) as app:
        await app.turn("How many?")
        await app.until(lambda: len(engine.requests) == 2)
        await app.turn("And now?")
        assert [chat.title for chat in await app.store.chats()] == ["How many?"]
        assert len(engine.requests) == 3


async def test_what_the_user_named_is_never_named_again(tmp_path: Path) -> None:
    gate = asyncio.Event()
    engine = FakeEngine(REPLY, [gate, AnswerDelta("Counting letters"), finished()])
    async with naming_app(tmp_path, engine) as app:
        await app.turn("How many?")
        await app.until(lambda: len(engine.requests) == 2)
        await app.store.set_title(1, "My chat")
        gate.set()
        await app.until(lambda: not app.screen.titles._titling or app.screen.titles._titling.is_finished)
        chat = await app.store.chat(1)
        assert (chat.title, chat.titled_by) == ("My chat", TitledBy.USER)


async def test_a_turn_does_not_wait_for_the_naming_which_is_tried_again(tmp_path: Path) -> None:
    never = asyncio.Event()
    engine = FakeEngine(REPLY, [AnswerDelta("Coun"), never], REPLY, [AnswerDelta("Letters"), finished()])
    async with naming_app(tmp_path, engine) as app:
        await app.turn("How many?")
        await app.until(lambda: len(engine.requests) == 2)
        await app.turn("And now?")
        assert engine.requests[2].messages[-1].content == "And now?"
        await app.until(lambda: "Letters" in app.rows()[0])


async def test_no_chat_is_named_where_that_is_switched_off(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with open_app(tmp_path, engine) as app:
        await app.turn("How many?")
        await app.turn("And now?")
        assert len(engine.requests) == 2
        assert app.screen.titles._timer is None


async def test_a_title_of_100_cells_is_whole_on_a_wide_screen_and_in_the_list(tmp_path: Path) -> None:
    title = (
        "Which words of this long question would be missing from a title that was cut after forty cells there"
    )
    assert len(title) == 100
    async with open_app(tmp_path, FakeEngine(), (140, 24)) as app:
        await app.turn(f"/no_think {title}")
        await app.until(lambda: f" {title} " in app.rows()[0])
        assert "no_think" not in app.rows()[0]
        await app.pilot.press("ctrl+r")
        await app.until(lambda: app.app.screen is not app.screen and app.shows(title))
