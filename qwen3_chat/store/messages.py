"""The statements on messages; each function runs inside a transaction of its caller."""

from __future__ import annotations

import sqlite3
from typing import Final

from qwen3_chat.chat import ChatMessage, Role
from qwen3_chat.errors import StoreError
from qwen3_chat.store import chats, deletions
from qwen3_chat.store.records import MessageMeta, StoredMessage, TitledBy, pack_token_ids
from qwen3_chat.store.rows import columns_of, message_of, storable
from qwen3_chat.store.search import index_message
from qwen3_chat.store.title import title_of

# A message's id is higher than its parent's, so the order of ids is the order of the branch.
_BRANCH: Final = """
    WITH RECURSIVE branch (id) AS (
        SELECT :head_id
        UNION ALL
        SELECT messages.parent_id FROM messages JOIN branch ON messages.id = branch.id
            WHERE messages.parent_id IS NOT NULL
    )
    SELECT * FROM messages WHERE id IN branch ORDER BY id
"""


def add(
    connection: sqlite3.Connection,
    now: int,
    chat_id: int,
    parent_id: int | None,
    message: ChatMessage,
    meta: MessageMeta,
) -> StoredMessage:
    """Add a message below `parent_id`, have the chat go on from it, title it after its first question.

    A reply without a stop reason is one that is still being written.
    """
    chat = chats.get(connection, chat_id)
    if parent_id is not None:
        _check_is_in_chat(connection, chat_id, parent_id)
        deletions.revive(connection, parent_id)
    unfinished = message.role is Role.ASSISTANT and meta.stop_reason is None
    row = {
        **columns_of(message, meta),
        "chat_id": chat_id,
        "parent_id": parent_id,
        "created_at": now,
        "finished_at": None if unfinished else now,
    }
    names = ", ".join(row)
    places = ", ".join(f":{name}" for name in row)
    message_id = connection.execute(f"INSERT INTO messages ({names}) VALUES ({places})", row).lastrowid or 0
    chats.set_head(connection, chat_id, message_id)
    chats.touch(connection, chat_id, now)
    if message.role is Role.USER and not chat.title:
        chats.set_title(connection, chat_id, title_of(message.content), TitledBy.WORDS)
    if not unfinished:
        index_message(connection, message_id)
    return get(connection, message_id)


def save_partial(connection: sqlite3.Connection, message_id: int, content: str, reasoning: str) -> None:
    """Keep what arrived so far of a reply that is being written; one that is finished stays as it is."""
    connection.execute(
        "UPDATE messages SET content = ?, reasoning = ? WHERE id = ? AND finished_at IS NULL",
        (storable(content), storable(reasoning), message_id),
    )


def reopen(connection: sqlite3.Connection, message_id: int) -> None:
    """Have a reply go on being written."""
    connection.execute("UPDATE messages SET finished_at = NULL WHERE id = ?", (message_id,))


def finish(
    connection: sqlite3.Connection,
    now: int,
    message_id: int,
    message: ChatMessage,
    meta: MessageMeta,
    token_ids: tuple[int, ...],
) -> StoredMessage:
    """Keep a reply as it ended."""
    row = {**columns_of(message, meta), "token_ids": pack_token_ids(token_ids), "finished_at": now}
    changes = ", ".join(f"{name} = :{name}" for name in row)
    cursor = connection.execute(
        f"UPDATE messages SET {changes} WHERE id = :message_id", {**row, "message_id": message_id}
    )
    if cursor.rowcount == 0:
        raise StoreError("store.no_such_message", message_id=message_id)
    stored = get(connection, message_id)
    chats.touch(connection, stored.chat_id, now)
    index_message(connection, message_id)
    return stored


def get(connection: sqlite3.Connection, message_id: int) -> StoredMessage:
    """Return a message.

    Raises:
        StoreError: there is none with this id.
    """
    row = connection.execute("SELECT * FROM messages WHERE id = ?", (message_id,)).fetchone()
    if row is None:
        raise StoreError("store.no_such_message", message_id=message_id)
    return message_of(row)


def branch(connection: sqlite3.Connection, chat_id: int, head_id: int | None) -> tuple[StoredMessage, ...]:
    """Return the messages from the first to `head_id`, or to where the chat goes on from."""
    chat = chats.get(connection, chat_id)
    if head_id is not None:
        _check_is_in_chat(connection, chat_id, head_id)
    last_id = chat.head_id if head_id is None else head_id
    rows = connection.execute(_BRANCH, {"head_id": last_id})
    return tuple(message_of(row) for row in rows)


def children(
    connection: sqlite3.Connection, chat_id: int, parent_id: int | None
) -> tuple[StoredMessage, ...]:
    """Return the messages that follow one, in the order they were added; those without a parent for None."""
    rows = connection.execute(
        "SELECT * FROM messages WHERE chat_id = ? AND parent_id IS ? AND deleted_at IS NULL ORDER BY id",
        (chat_id, parent_id),
    )
    return tuple(message_of(row) for row in rows)


def siblings(connection: sqlite3.Connection, message_id: int) -> tuple[StoredMessage, ...]:
    """Return a message's variants, itself among them, in the order they were added."""
    message = get(connection, message_id)
    return children(connection, message.chat_id, message.parent_id)


def set_head(connection: sqlite3.Connection, chat_id: int, message_id: int | None) -> None:
    """Have the chat go on from one of its messages, or from before the first."""
    if message_id is not None:
        _check_is_in_chat(connection, chat_id, message_id)
        deletions.revive(connection, message_id)
    chats.set_head(connection, chat_id, message_id)


def index_unfinished(connection: sqlite3.Connection) -> None:
    """Make the replies that a crash cut off searchable; those being written elsewhere do no harm."""
    for row in connection.execute("SELECT id FROM messages WHERE finished_at IS NULL").fetchall():
        index_message(connection, row["id"])


def _check_is_in_chat(connection: sqlite3.Connection, chat_id: int, message_id: int) -> None:
    row = connection.execute("SELECT chat_id FROM messages WHERE id = ?", (message_id,)).fetchone()
    if row is None or row["chat_id"] != chat_id:
        raise StoreError("store.no_such_message", message_id=message_id)


def latest_questions(connection: sqlite3.Connection, limit: int) -> tuple[str, ...]:
    """Return the contents of the user's latest messages in all chats, oldest first."""
    rows = connection.execute(
        "SELECT content FROM messages WHERE role = 'user' AND deleted_at IS NULL ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    return tuple(row["content"] for row in rows)[::-1]
