"""Version 1: chats with trees of messages.

Times are milliseconds since 1970 in UTC. `messages.finished_at` is NULL while a reply is being written, and
stays so where the app was killed. A message's parent is of the same chat. Parents have no ON DELETE CASCADE:
it would recurse once per message, and SQLite allows a depth of 1,000; a chat's messages go with the chat in
one statement.
"""

from __future__ import annotations

import sqlite3
from typing import Final

_STATEMENTS: Final = (
    """
    CREATE TABLE chats (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        title TEXT NOT NULL DEFAULT '',
        system TEXT NOT NULL DEFAULT '',
        toggle TEXT,
        head_id INTEGER REFERENCES messages (id) ON DELETE SET NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        pinned INTEGER NOT NULL DEFAULT 0,
        draft TEXT NOT NULL DEFAULT '',
        deleted_at INTEGER
    )
    """,
    """
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        chat_id INTEGER NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
        parent_id INTEGER,
        role TEXT NOT NULL,
        content TEXT NOT NULL,
        reasoning TEXT NOT NULL DEFAULT '',
        tool_calls TEXT NOT NULL DEFAULT '[]',
        mode_tag TEXT,
        meta TEXT NOT NULL DEFAULT '{}',
        token_ids BLOB NOT NULL DEFAULT x'',
        created_at INTEGER NOT NULL,
        finished_at INTEGER,
        UNIQUE (chat_id, id),
        FOREIGN KEY (chat_id, parent_id) REFERENCES messages (chat_id, id)
    )
    """,
    "CREATE INDEX messages_by_parent ON messages (chat_id, parent_id)",
    "CREATE INDEX messages_unfinished ON messages (id) WHERE finished_at IS NULL",
    "CREATE INDEX chats_by_time ON chats (updated_at)",
)


def apply(connection: sqlite3.Connection) -> None:
    """Make the two tables."""
    for statement in _STATEMENTS:
        connection.execute(statement)
