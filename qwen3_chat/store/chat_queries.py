"""The statements on chats; each function runs inside a transaction of its caller."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import StoreError
from qwen3_chat.store.records import Chat, ChatOptions, ChatSummary, TitledBy
from qwen3_chat.store.row_mapping import chat_from_row, mode_column, summary_from_row
from qwen3_chat.store.search_queries import index_title
from qwen3_chat.store.search_terms import match_expression
from qwen3_chat.store.stored_row import StoredRow, is_damage, note_damage
from qwen3_chat.texts.terminal_safe import storable

# Most chats have no forks, so that all of their messages are shown: only in the others the branch is walked.
_SUMMARIES: Final = """
    SELECT id, title, updated_at, pinned,
        (SELECT CASE
            WHEN count(*) = count(DISTINCT coalesce(parent_id, 0)) AND max(id) = chats.head_id THEN count(*)
            ELSE (
                WITH RECURSIVE branch (id) AS (
                    SELECT chats.head_id
                    UNION
                    SELECT messages.parent_id FROM messages JOIN branch ON messages.id = branch.id
                        WHERE messages.parent_id IS NOT NULL
                )
                SELECT count(*) FROM messages WHERE id IN branch AND deleted_at IS NULL
            ) END
            FROM messages WHERE chat_id = chats.id AND deleted_at IS NULL) AS message_count,
        (SELECT CASE WHEN json_valid(meta) THEN json_extract(meta, '$.model') END FROM messages
            WHERE chat_id = chats.id AND role = 'assistant' AND deleted_at IS NULL
            ORDER BY id DESC LIMIT 1) AS model
    FROM chats
"""
_SUMMARY_WITHOUT_MESSAGES: Final = """
    SELECT id, title, updated_at, pinned, 0 AS message_count, NULL AS model FROM chats WHERE id = ?
"""
_MATCHES_QUERY: Final = """
    (id IN (SELECT chat_id FROM messages
                WHERE deleted_at IS NULL
                    AND id IN (SELECT rowid FROM message_terms WHERE message_terms MATCH :query))
        OR id IN (SELECT rowid FROM title_terms WHERE title_terms MATCH :query))
"""
_NEWEST_FIRST: Final = "ORDER BY pinned DESC, last_use DESC, id DESC"
NEXT_USE: Final = "(SELECT coalesce(max(last_use), 0) + 1 FROM chats WHERE last_use < 1 << 60)"
"""A number above those of all chats; the clock may be set back, and a damaged number may be the largest."""


def create_chat(
    connection: sqlite3.Connection,
    now: int,
    system: str,
    mode_override: ThinkingMode | None,
    options: ChatOptions,
) -> Chat:
    """Add a chat without messages."""
    cursor = connection.execute(
        "INSERT INTO chats (system, toggle, options, titled_by, created_at, updated_at, last_use)"
        f" VALUES (?, ?, ?, ?, ?, ?, {NEXT_USE})",
        (storable(system), mode_column(mode_override), _json(options), TitledBy.WORDS.value, now, now),
    )
    return get_chat(connection, cursor.lastrowid or 0)


def get_chat(connection: sqlite3.Connection, chat_id: int) -> Chat:
    """Return a chat; a deleted chat too, until it is purged.

    Raises:
        StoreError: there is no chat with this id.
    """
    try:
        row = connection.execute("SELECT * FROM chats WHERE id = ?", (chat_id,)).fetchone()
    except OverflowError:  # a number that is too large for SQLite is the id of no chat
        row = None
    if row is None:
        raise StoreError(ErrorCode.CHAT_NOT_FOUND, chat_id=chat_id)
    return chat_from_row(row)


def latest_chat(connection: sqlite3.Connection) -> Chat | None:
    """Return the chat that was last written to; None where there is none."""
    row = connection.execute(
        "SELECT * FROM chats WHERE deleted_at IS NULL ORDER BY last_use DESC, id DESC LIMIT 1"
    ).fetchone()
    return None if row is None else chat_from_row(row)


def chat_summaries(
    connection: sqlite3.Connection, search: str | None, limit: int | None
) -> tuple[ChatSummary, ...]:
    """Return the chats that match `search`, or all: pinned chats first, then newest first."""
    conditions = ["deleted_at IS NULL"]
    query = None
    if search is not None and search.strip():
        query = match_expression(search)
        if query is None:  # only punctuation
            return ()
        conditions.append(_MATCHES_QUERY)
    parameters = {"query": query, "limit": -1 if limit is None else limit}
    found = f"{' AND '.join(conditions)} {_NEWEST_FIRST} LIMIT :limit"
    try:
        rows = connection.execute(f"{_SUMMARIES} WHERE {found}", parameters).fetchall()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        ids = connection.execute(f"SELECT id FROM chats WHERE {found}", parameters).fetchall()
        rows = [row for (chat_id,) in ids for row in _summary_of_damaged(connection, chat_id)]
    return tuple(summary_from_row(row) for row in rows)


def _summary_of_damaged(connection: sqlite3.Connection, chat_id: int) -> list[StoredRow]:
    """Return the line of one chat where others can't be read: in part, or none at all."""
    for statement in (f"{_SUMMARIES} WHERE id = ?", _SUMMARY_WITHOUT_MESSAGES):
        try:
            return connection.execute(statement, (chat_id,)).fetchall()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            note_damage(connection, f"chat {chat_id}")
    return []


def touch_chat(connection: sqlite3.Connection, chat_id: int, now: int) -> None:
    """Set the time of the last change; restore the chat if another window deleted it meanwhile."""
    connection.execute(
        f"UPDATE chats SET updated_at = ?, last_use = {NEXT_USE}, deleted_at = NULL WHERE id = ?",
        (now, chat_id),
    )


def set_head(connection: sqlite3.Connection, chat_id: int, message_id: int | None) -> None:
    """Set the head of a chat, the message to continue from; None is before the first message."""
    _update(connection, chat_id, "head_id", message_id)


def set_mode_override(
    connection: sqlite3.Connection, chat_id: int, mode_override: ThinkingMode | None
) -> None:
    """Store the mode that the user last switched to."""
    _update(connection, chat_id, "toggle", mode_column(mode_override))


def set_title(connection: sqlite3.Connection, chat_id: int, title: str, by: TitledBy) -> bool:
    """Set the title of a chat and return True, unless `by` is not the user and the user has named it."""
    if by is not TitledBy.USER and get_chat(connection, chat_id).titled_by is TitledBy.USER:
        return False
    _update(connection, chat_id, "title", storable(title))
    _update(connection, chat_id, "titled_by", by.value)
    index_title(connection, chat_id, title)
    return True


def set_system(connection: sqlite3.Connection, chat_id: int, system: str) -> None:
    """Set the system prompt of a chat; empty for none."""
    _update(connection, chat_id, "system", storable(system))


def set_options(connection: sqlite3.Connection, chat_id: int, options: ChatOptions) -> None:
    """Set the generation options of a chat."""
    _update(connection, chat_id, "options", _json(options))


def set_pinned(connection: sqlite3.Connection, chat_id: int, pinned: bool) -> None:
    """Pin a chat to the top of the list, or unpin it."""
    _update(connection, chat_id, "pinned", int(pinned))


def set_draft(connection: sqlite3.Connection, chat_id: int, draft: str) -> None:
    """Store the draft of a chat's next message."""
    _update(connection, chat_id, "draft", storable(draft))


def set_deleted(connection: sqlite3.Connection, chat_id: int, deleted_at: int | None) -> None:
    """Mark a chat as deleted; restore it with None."""
    _update(connection, chat_id, "deleted_at", deleted_at)


def chat_ids(connection: sqlite3.Connection) -> frozenset[int]:
    """Return the ids of all chats, those that are deleted but not yet purged among them."""
    return frozenset(chat_id for (chat_id,) in connection.execute("SELECT id FROM chats"))


def purge_deleted(connection: sqlite3.Connection, deleted_before: int) -> int:
    """Remove permanently what was deleted before a time; return the number of removed chats."""
    purged = "SELECT id FROM chats WHERE deleted_at < ?"
    for statement in (
        f"DELETE FROM message_terms WHERE rowid IN (SELECT id FROM messages WHERE chat_id IN ({purged}))",
        f"DELETE FROM title_terms WHERE rowid IN ({purged})",
        "DELETE FROM message_terms WHERE rowid IN (SELECT id FROM messages WHERE deleted_at < ?)",
        "DELETE FROM messages WHERE deleted_at < ?",
    ):
        connection.execute(statement, (deleted_before,))
    return connection.execute("DELETE FROM chats WHERE deleted_at < ?", (deleted_before,)).rowcount


def _update(connection: sqlite3.Connection, chat_id: int, column: str, value: str | int | None) -> None:
    cursor = connection.execute(f"UPDATE chats SET {column} = ? WHERE id = ?", (value, chat_id))
    if cursor.rowcount == 0:
        raise StoreError(ErrorCode.CHAT_NOT_FOUND, chat_id=chat_id)


def _json(options: ChatOptions) -> str:
    return msgspec.json.encode(options).decode()
