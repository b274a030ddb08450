"""Replies that the database refuses at their end: kept, told, stored later."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qwen3_chat.chat import ChatMessage, Role, ToolCall
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.events import AnswerDelta
from qwen3_chat.session import (
    ChatSession,
    QuestionWaits,
    ReplyNotStored,
    ReplyStored,
    SessionEvent,
    UserStored,
    chat_session,
)
from qwen3_chat.session.draft_store import NO_DRAFT
from qwen3_chat.session.rescue import rescue, rescue_text
from qwen3_chat.store import ChatStore, MessageMeta, StoredMessage, database
from tests.fakes import FakeEngine, finished


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_TIMEOUT_S", 0.0)
    monkeypatch.setattr(chat_session, "STORE_PAUSE_S", 0.0)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ChatStore]:
    store = await ChatStore.open(tmp_path / "chats.db")
    yield store
    await store.close()


@contextmanager
def locked(folder: Path) -> Iterator[sqlite3.Connection]:
    """Hold the database as another program might."""
    with closing(sqlite3.connect(folder / "chats.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def session_with(store: ChatStore, engine: FakeEngine | None = None) -> ChatSession:
    return ChatSession(engine or FakeEngine(), store, draw_seed=lambda: 1, clock=lambda: 0.0)


async def turn_into_a_lock(session: ChatSession, folder: Path, text: str = "Hello") -> list[SessionEvent]:
    """Run a turn during whose answer another program takes the database, until the turn has ended."""
    events: list[SessionEvent] = []
    with closing(sqlite3.connect(folder / "chats.db", isolation_level=None)) as other:

        def on_event(event: SessionEvent) -> None:
            events.append(event)
            if isinstance(event, AnswerDelta) and not other.in_transaction:
                other.execute("BEGIN IMMEDIATE")

        await session.send(text, on_event)
    return events


async def test_an_answer_that_the_database_refuses_is_told_and_kept(store: ChatStore, tmp_path: Path) -> None:
    session = session_with(store)
    events = await turn_into_a_lock(session, tmp_path)
    (told,) = (event for event in events if isinstance(event, ReplyNotStored))
    assert told.message.message.content == "It is 3."
    assert "has been in use by another program" in told.text
    assert not any(isinstance(event, ReplyStored) for event in events)
    assert session.messages[-1].message.content == "It is 3."
    assert session.unstored.ids == {session.messages[-1].id}


async def test_the_next_turn_stores_it_first(store: ChatStore, tmp_path: Path) -> None:
    session = session_with(store)
    await turn_into_a_lock(session, tmp_path)
    await session.send("And now?", lambda event: None)
    assert session.chat is not None
    branch = await store.branch(session.chat.id)
    assert [stored.message.content for stored in branch] == ["Hello", "It is 3.", "And now?", "It is 3."]
    assert branch[1].token_ids == (1, 2, 3)
    assert branch == session.messages
    assert not session.unstored


async def test_it_is_shown_whatever_is_read_meanwhile(store: ChatStore, tmp_path: Path) -> None:
    session = session_with(store)
    await turn_into_a_lock(session, tmp_path)
    assert session.chat is not None
    chat_id = session.chat.id
    session.start_new()
    await session.resume(chat_id)
    assert session.messages[-1].message.content == "It is 3."
    assert await session.store_persistently() is None
    assert (await store.branch(chat_id))[-1].message.content == "It is 3."


async def test_what_can_never_be_stored_goes_to_a_file_elsewhere(store: ChatStore, tmp_path: Path) -> None:
    session = session_with(store)
    await turn_into_a_lock(session, tmp_path)
    with locked(tmp_path):
        error = await session.store_persistently(attempts=2, pause_s=0)
    assert error is not None
    assert error.code is ErrorCode.CHAT_DATABASE_BUSY
    sentence = rescue(session.unstored, tmp_path / "exports")
    (file,) = (tmp_path / "exports").iterdir()
    assert str(file) in sentence
    assert "It is 3." in file.read_text()
    assert rescue(session_with(store).unstored, tmp_path / "exports") == ""


async def test_a_reply_that_cannot_be_stored_is_continued_only_once_it_is(
    store: ChatStore, tmp_path: Path
) -> None:
    engine = FakeEngine(
        [AnswerDelta("Half"), RuntimeError("gone")], [AnswerDelta("Half and more"), finished()]
    )
    session = session_with(store, engine)
    with pytest.raises(RuntimeError):
        await turn_into_a_lock(session, tmp_path)
    assert session.unstored
    await session.continue_reply(lambda event: None)
    assert session.chat is not None
    assert (await store.branch(session.chat.id))[-1].message.content == "Half and more"
    assert not session.unstored


async def test_a_message_waits_for_a_database_that_is_held(store: ChatStore, tmp_path: Path) -> None:
    session = session_with(store)
    events: list[SessionEvent] = []
    with locked(tmp_path) as other:

        def on_event(event: SessionEvent) -> None:
            events.append(event)
            if isinstance(event, QuestionWaits) and len(events) == 3:
                other.execute("ROLLBACK")

        await session.send("Hello", on_event)
    assert [type(event) for event in events[:4]] == [QuestionWaits] * 3 + [UserStored]
    assert [stored.message.content for stored in session.messages] == ["Hello", "It is 3."]


def test_a_rescued_reply_has_its_calls() -> None:
    call = ToolCall("write_file", '{"text": "a long draft"}')
    message = ChatMessage(Role.ASSISTANT, "", "Let me write it.", (call,))
    reply = StoredMessage(1, 1, None, message, MessageMeta(), datetime.now(UTC))
    assert (
        rescue_text([reply], NO_DRAFT) == 'Let me write it.\n\n---\n\nwrite_file({"text": "a long draft"})\n'
    )
