"""Cells, pages and files that are not as they should be: told, and the rest is read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from qwen3_chat.chat import ChatMessage, Role, StopReason
from qwen3_chat.documents.export import render
from qwen3_chat.documents.export_options import ExportFormat
from qwen3_chat.store import ChatStore, MessageMeta
from qwen3_chat.store.stored_row import Damage, RowFactory
from tests.store.clock import Clock

USER, ASSISTANT = Role.USER, Role.ASSISTANT
DONE = MessageMeta(model="Qwen3-0.6B", stop_reason=StopReason.END_OF_TURN)


async def fill(path: Path, clock: Clock) -> None:
    """Store one chat of two questions with answers, messages 1 to 4, and an empty chat."""
    store = await ChatStore.open(path, clock=clock)
    chat = await store.create_chat()
    parent: int | None = None
    for role, text in ((USER, "first"), (ASSISTANT, "second"), (USER, "third"), (ASSISTANT, "fourth")):
        parent = (await store.add_message(chat.id, parent, ChatMessage(role, text), DONE)).id
    await store.create_chat()
    await store.close()


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def damage_pages_with(path: Path, text: bytes) -> None:
    """Overwrite each page of a database that holds a text."""
    content = path.read_bytes()
    pages = [content[start : start + 4096] for start in range(0, len(content), 4096)]
    path.write_bytes(b"".join(b"\xff" * 4096 if text in page else page for page in pages))


CELLS = [
    "UPDATE messages SET content = CAST(x'ff41' AS TEXT) WHERE id = 2",
    "UPDATE messages SET content = x'00ff' WHERE id = 2",
    "UPDATE messages SET role = 'nobody' WHERE id = 2",
    "UPDATE messages SET meta = '{' WHERE id = 2",
    'UPDATE messages SET meta = \'{"usage": {"answer_tokens": -1}}\' WHERE id = 2',
    'UPDATE messages SET meta = \'{"timings": {"reasoning_s": 1e300}}\' WHERE id = 2',
    "UPDATE messages SET meta = replace(hex(zeroblob(30000)), '0', '[') WHERE id = 4",
    "UPDATE messages SET tool_calls = 'x' WHERE id = 2",
    "UPDATE messages SET mode_tag = 'sometimes' WHERE id = 2",
    "UPDATE messages SET token_ids = x'010203' WHERE id = 2",
    "UPDATE messages SET created_at = 9223372036854775807 WHERE id = 2",
    "UPDATE messages SET created_at = 'yesterday' WHERE id = 2",
    "UPDATE messages SET parent_id = 4 WHERE id = 1",
    "UPDATE messages SET parent_id = 'x' WHERE id = 3",
    "UPDATE messages SET parent_id = 99 WHERE id = 3",
    "UPDATE chats SET head_id = 99",
    "UPDATE chats SET title = CAST(x'ff41' AS TEXT)",
    "UPDATE chats SET options = '{\"temperature\": 1e300}'",
    "UPDATE chats SET options = '[]'",
    "UPDATE chats SET titled_by = 'x', toggle = 'x'",
    "UPDATE chats SET updated_at = -9223372036854775807, created_at = 1e300",
    "UPDATE chats SET draft = x'ff'",
]


@pytest.mark.parametrize("statement", CELLS)
async def test_a_damaged_cell_is_told_once_and_the_rest_is_read(
    path: Path, clock: Clock, statement: str
) -> None:
    await fill(path, clock)
    change(path, statement)
    store = await ChatStore.open(path, clock=clock)
    chat, messages = await store.chat(1), await store.branch(1)
    assert messages[-1].message.content == "fourth"
    for format in ExportFormat:
        assert render(chat, messages, format)
    assert {summary.id for summary in await store.chats()} == {1, 2}
    assert await store.find("fourth")
    await store.forks(1)
    await store.newest_leaf(1, 1)
    assert [stored.token_ids for stored in messages] == [()] * len(messages)
    notices = store.take_notices()
    assert notices
    assert all("is damaged in" in notice for notice in notices)
    await store.branch(1)
    assert store.take_notices() == ()
    await store.close()


async def test_a_circle_of_parents_ends(path: Path, clock: Clock) -> None:
    await fill(path, clock)
    change(path, "UPDATE messages SET parent_id = 4 WHERE id = 1")
    store = await ChatStore.open(path, clock=clock)
    assert [stored.id for stored in await store.branch(1)] == [1, 2, 3, 4]
    assert await store.newest_leaf(1, 2) == 4
    deletion = await store.delete_messages(1, [3], 2)
    await store.restore_messages(deletion)
    await store.close()


async def test_what_stands_on_a_damaged_page_is_left_out(path: Path, clock: Clock) -> None:
    store = await ChatStore.open(path, clock=clock)
    chat = await store.create_chat()
    parent: int | None = None
    for number in range(60):
        message = ChatMessage(USER if number % 2 == 0 else ASSISTANT, f"message {number} " + "x" * 3000)
        parent = (await store.add_message(chat.id, parent, message, DONE)).id
    await store.close()
    damage_pages_with(path, b"message 31 ")
    store = await ChatStore.open(path, clock=clock)
    found = [stored.message.content.split(" x")[0] for stored in await store.branch(chat.id)]
    assert "message 31" not in found
    assert {"message 0", "message 59"} <= set(found)
    assert len(await store.chats()) == 1
    assert any("is damaged in" in notice for notice in store.take_notices())
    await store.close()


async def test_the_last_chat_is_the_one_used_last_whatever_the_clock_says(
    store: ChatStore, clock: Clock
) -> None:
    first, second = await store.create_chat(), await store.create_chat()
    await store.add_message(first.id, None, ChatMessage(USER, "one"))
    clock.now = clock.now.replace(year=2020)
    await store.add_message(second.id, None, ChatMessage(USER, "two"))
    latest = await store.latest_chat()
    assert latest is not None
    assert latest.id == second.id
    assert [summary.id for summary in await store.chats()] == [second.id, first.id]


def delete_folder(path: Path) -> None:
    for file in path.parent.iterdir():
        file.unlink()
    path.parent.rmdir()


def delete_file(path: Path) -> None:
    path.unlink()


def replace_file(path: Path) -> None:
    path.rename(path.with_name("moved.db"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")


@pytest.mark.parametrize(
    ("take_away", "name"),
    [
        (delete_folder, "chats.db"),
        (delete_file, "chats.db"),
        (replace_file, "chats-recovered-1.db"),
    ],
)
async def test_a_database_that_is_taken_away_is_noticed_and_saved(
    path: Path, clock: Clock, take_away: Callable[[Path], Any], name: str
) -> None:
    store = await ChatStore.open(path, clock=clock)
    chat = await store.create_chat()
    first = await store.add_message(chat.id, None, ChatMessage(USER, "before"))
    take_away(path)
    await store.add_message(chat.id, first.id, ChatMessage(USER, "after"))
    (notice,) = store.take_notices()
    assert str(path.with_name(name)) in notice
    await store.close()
    saved = await ChatStore.open(path.with_name(name), clock=clock)
    assert [stored.message.content for stored in await saved.branch(chat.id)] == ["before", "after"]
    await saved.close()


async def test_a_place_where_no_database_can_be_made_opens_an_empty_one_on_request(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    path = tmp_path / "data" / "chats.db"
    store = await ChatStore.open(path, even_without_file=True)
    assert await store.chats() == ()
    assert store.read_only_reason is not None
    (tmp_path / "data").unlink()
    await store.create_chat()
    assert store.read_only_reason is None
    assert [notice for notice in store.take_notices() if "can be written again" in notice]
    await store.close()
    assert path.exists()


def test_a_column_that_is_missing_is_an_error_of_the_database() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.row_factory = RowFactory(Damage())
        row = connection.execute("SELECT 1 AS id").fetchone()
        with pytest.raises(sqlite3.DatabaseError, match="no such column: content"):
            row.text("content")
