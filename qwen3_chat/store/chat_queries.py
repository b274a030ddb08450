"""The statements on chats; each function runs inside a transaction of its caller."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.errors import StoreError
from qwen3_chat.store.records import Chat, ChatOptions, ChatSummary, TitledBy
from qwen3_chat.store.row_mapping import chat_from_row, storable, summary_from_row
from qwen3_chat.store.search_queries import index_title
from qwen3_chat.store.search_terms import match_expression

_SUMMARIES: Final = """
    SELECT id, title, updated_at, pinned,
        (SELECT count(*) FROM messages WHERE chat_id = chats.id AND deleted_at IS NULL) AS message_count,
        (SELECT json_extract(meta, '$.model') FROM messages
            WHERE chat_id = chats.id AND role = 'assistant' AND deleted_at IS NULL
            ORDER BY id DESC LIMIT 1) AS model
    FROM chats
"""
_MATCHES_QUERY: Final = """
    (id IN (SELECT chat_id FROM messages
                WHERE deleted_at IS NULL
                    AND id IN (SELECT rowid FROM message_terms WHERE message_terms MATCH :query))
        OR id IN (SELECT rowid FROM title_terms WHERE title_terms MATCH :query))
"""
_NEWEST_FIRST: Final = "ORDER BY pinned DESC, updated_at DESC, id DESC"


def create_chat(
    connection: sqlite3.Connection,
    now: int,
    system: str,
    mode_override: ThinkingMode | None,
    options: ChatOptions,
) -> Chat:
    """Add a chat without messages."""
    cursor = connection.execute(
        "INSERT INTO chats (system, toggle, options, titled_by, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (storable(system), _value(mode_override), _json(options), TitledBy.WORDS.value, now, now),
    )
    return get_chat(connection, cursor.lastrowid or 0)


def get_chat(connection: sqlite3.Connection, chat_id: int) -> Chat:
    """Return a chat, deleted ones too until they are purged.

    Raises:
        StoreError: there is none with this id.
    """
    try:
        row = connection.execute("SELECT * FROM chats WHERE id = ?", (chat_id,)).fetchone()
    except OverflowError:  # a number that is too large for SQLite is no chat's
        row = None
    if row is None:
        raise StoreError("store.no_such_chat", chat_id=chat_id)
    return chat_from_row(row)


def latest_chat(connection: sqlite3.Connection) -> Chat | None:
    """Return the chat that was last written to; None where there is none."""
    row = connection.execute(
        "SELECT * FROM chats WHERE deleted_at IS NULL ORDER BY updated_at DESC, id DESC LIMIT 1"
    ).fetchone()
    return None if row is None else chat_from_row(row)


def chat_summaries(
    connection: sqlite3.Connection, search: str | None, limit: int | None
) -> tuple[ChatSummary, ...]:
    """Return the list of chats that hold `search`, or all: pinned ones first, then newest first."""
    conditions = ["deleted_at IS NULL"]
    query = None
    if search is not None and search.strip():
        query = match_expression(search)
        if query is None:  # nothing but punctuation
            return ()
        conditions.append(_MATCHES_QUERY)
    rows = connection.execute(
        f"{_SUMMARIES} WHERE {' AND '.join(conditions)} {_NEWEST_FIRST} LIMIT :limit",
        {"query": query, "limit": -1 if limit is None else limit},
    )
    return tuple(summary_from_row(row) for row in rows)


def touch_chat(connection: sqlite3.Connection, chat_id: int, now: int) -> None:
    """Note that a chat was written to; one that was deleted meanwhile, in another window, is there again."""
    connection.execute("UPDATE chats SET updated_at = ?, deleted_at = NULL WHERE id = ?", (now, chat_id))


def set_head(connection: sqlite3.Connection, chat_id: int, message_id: int | None) -> None:
    """Choose the message that the chat goes on from; None is before the first."""
    _update(connection, chat_id, "head_id", message_id)


def set_mode_override(
    connection: sqlite3.Connection, chat_id: int, mode_override: ThinkingMode | None
) -> None:
    """Remember how the mode was last switched by key."""
    _update(connection, chat_id, "toggle", _value(mode_override))


def set_title(connection: sqlite3.Connection, chat_id: int, title: str, by: TitledBy) -> bool:
    """Name a chat; the user's name for it stays unless the user gives another. Tell whether it was named."""
    if by is not TitledBy.USER and get_chat(connection, chat_id).titled_by is TitledBy.USER:
        return False
    _update(connection, chat_id, "title", storable(title))
    _update(connection, chat_id, "titled_by", by.value)
    index_title(connection, chat_id, title)
    return True


def set_system(connection: sqlite3.Connection, chat_id: int, system: str) -> None:
    """Give a chat its system prompt; empty for none."""
    _update(connection, chat_id, "system", storable(system))


def set_options(connection: sqlite3.Connection, chat_id: int, options: ChatOptions) -> None:
    """Choose how the chat's replies are generated."""
    _update(connection, chat_id, "options", _json(options))


def set_pinned(connection: sqlite3.Connection, chat_id: int, pinned: bool) -> None:
    """Keep a chat at the top of the list, or no longer."""
    _update(connection, chat_id, "pinned", int(pinned))


def set_draft(connection: sqlite3.Connection, chat_id: int, draft: str) -> None:
    """Keep what is typed and not yet sent."""
    _update(connection, chat_id, "draft", storable(draft))


def set_deleted(connection: sqlite3.Connection, chat_id: int, deleted_at: int | None) -> None:
    """Put a chat out of sight, or back."""
    _update(connection, chat_id, "deleted_at", deleted_at)


def purge_deleted(connection: sqlite3.Connection, deleted_before: int) -> int:
    """Remove for good what was deleted before a moment; returns the number of chats."""
    gone = "SELECT id FROM chats WHERE deleted_at < ?"
    for statement in (
        f"DELETE FROM message_terms WHERE rowid IN (SELECT id FROM messages WHERE chat_id IN ({gone}))",
        f"DELETE FROM title_terms WHERE rowid IN ({gone})",
        "DELETE FROM message_terms WHERE rowid IN (SELECT id FROM messages WHERE deleted_at < ?)",
        "DELETE FROM messages WHERE deleted_at < ?",
    ):
        connection.execute(statement, (deleted_before,))
    return connection.execute("DELETE FROM chats WHERE deleted_at < ?", (deleted_before,)).rowcount


def _update(connection: sqlite3.Connection, chat_id: int, column: str, value: str | int | None) -> None:
    cursor = connection.execute(f"UPDATE chats SET {column} = ? WHERE id = ?", (value, chat_id))
    if cursor.rowcount == 0:
        raise StoreError("store.no_such_chat", chat_id=chat_id)


def _json(options: ChatOptions) -> str:
    return msgspec.json.encode(options).decode()


def _value(mode: ThinkingMode | None) -> str | None:
    return None if mode is None else mode.value
