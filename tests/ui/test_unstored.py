"""What the screen says of a message or an answer that is not stored, and what it does about it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from qwen3_chat.events import AnswerDelta
from qwen3_chat.session import SessionEventSink, chat_session
from qwen3_chat.store import database
from qwen3_chat.ui.controllers import draft_controller, storing_controller
from tests.fakes import FakeEngine, finished
from tests.harness import Harness, Start


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_TIMEOUT_S", 0.0)
    monkeypatch.setattr(chat_session, "STORE_PAUSE_S", 0.01)
    monkeypatch.setattr(storing_controller, "STORE_RETRY_S", 0.0)
    monkeypatch.setattr(draft_controller, "DRAFT_RETRY_S", 0.0)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the database as another program might."""
    with closing(sqlite3.connect(folder / "chats.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


async def turn_into_a_lock(app: Harness, gate: asyncio.Event) -> None:
    """End an answer, which waits at the gate, while the database is held."""
    await app.until(lambda: app.shows("Half"))
    gate.set()
    await app.until(lambda: not app.screen.is_answering)


def engine_with(gate: asyncio.Event) -> FakeEngine:
    return FakeEngine([AnswerDelta("Half "), gate, AnswerDelta("and whole."), finished()])


async def test_an_answer_that_is_not_stored_says_so_until_it_is(start: Start, tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with start(engine_with(gate), (100, 40)) as app:
        await app.say("Hello")
        await app.until(lambda: app.shows("Half"))
        with locked(tmp_path):
            await turn_into_a_lock(app, gate)
            await app.sees("Not stored yet")
            await app.sees("The answer is not stored yet.")
            app.screen.show_chat()
            await app.sees("Not stored yet")
        await app.until(lambda: not app.session.unstored)
        await app.until(lambda: not app.shows("Not stored yet"))
        assert app.session.chat is not None
        branch = await app.store.branch(app.session.chat.id)
        assert branch[-1].message.content == "Half and whole."


async def test_leaving_with_an_answer_that_is_not_stored_is_asked_about_and_loses_nothing(
    start: Start, tmp_path: Path
) -> None:
    gate = asyncio.Event()
    async with start(engine_with(gate), (100, 40)) as app:
        await app.say("Hello")
        await app.until(lambda: app.shows("Half"))
        with locked(tmp_path):
            await turn_into_a_lock(app, gate)
            await app.pilot.press("ctrl+q")
            await app.sees("An answer is not stored.")
            assert app.app.is_running
            app.screen.input.text = "typed since"
            await app.pilot.press("ctrl+q")
            await app.until(lambda: app.app.farewell)
    (file,) = (tmp_path / "exports").iterdir()
    assert str(file) in app.app.farewell
    text = file.read_text()
    assert "Half and whole." in text
    assert "typed since" in text


async def test_a_message_is_in_sight_and_in_the_draft_until_it_is_stored(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_session, "STORE_ATTEMPTS", 10**9)
    async with start(size=(100, 40)) as app:
        with locked(tmp_path):
            await app.say("Where am I?")
            await app.sees("Where am I?")
            await app.sees("Not stored yet")
            draft = tmp_path / "draft.json"
            await app.until(lambda: draft.exists() and json.loads(draft.read_bytes())["text"])
            assert json.loads(draft.read_bytes())["text"] == "Where am I?"
        await app.until(lambda: len(app.session.messages) == 2 and not app.screen.is_answering)
        await app.until(lambda: not app.shows("Not stored yet"))
        await app.until(lambda: not draft.exists())
        assert sum("Where am I?" in row for row in app.rows()) == 2  # the message, and the chat's title


async def test_a_message_that_cannot_be_stored_comes_back_to_the_input(start: Start, tmp_path: Path) -> None:
    async with start(size=(100, 40)) as app:
        with locked(tmp_path):
            await app.say("Where am I?")
            await app.until(lambda: not app.screen.is_answering)
            assert app.screen.input.text == "Where am I?"
            views = app.screen.transcript.transcript_layout.message_views
            assert [view for view in views if view.entry.role == "user"] == []


async def test_a_stop_counts_while_a_turn_waits_for_the_engine(start: Start) -> None:
    async with start() as app:

        async def busy_engine() -> None:
            await asyncio.Event().wait()

        app.screen.free_engine = busy_engine  # type: ignore[method-assign]
        await app.say("Hello")
        await app.until(lambda: app.screen.is_answering)
        await app.pilot.press("escape")
        await app.until(lambda: not app.screen.is_answering)
        assert (app.session.messages, app.screen.input.text) == ((), "Hello")


async def test_a_stop_counts_before_a_turn_has_begun_to_run(start: Start) -> None:
    async with start() as app:
        has_run = []

        async def turn(on_event: SessionEventSink) -> None:
            has_run.append(True)

        app.screen.turns.start(turn, "Hello")
        app.screen.action_stop()
        await app.until(lambda: not app.screen.is_answering)
        assert has_run == []
        app.screen.turns.start(turn, "Hello")  # a stop is not remembered beyond its turn
        await app.until(lambda: not app.screen.is_answering)
        assert has_run == [True]
