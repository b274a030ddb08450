"""The statements that look at a whole chat's tree; each function runs in its caller's transaction."""

from __future__ import annotations

import sqlite3
from typing import Final

from qwen3_chat.chat import Role
from qwen3_chat.store.records import Sibling

# Forks are few: the count goes over an index, texts are read of questions at a fork only. A question may be
# asked twice below one message, for its answers in two modes, so the answers of all questions at a fork come.
_FORKS: Final = """
    WITH live AS (
        SELECT id, parent_id, role FROM messages WHERE chat_id = :chat_id AND deleted_at IS NULL
    ),
    crowded AS (SELECT parent_id FROM live GROUP BY parent_id HAVING count(*) > 1),
    forked AS (
        SELECT live.id, live.role FROM live JOIN crowded ON live.parent_id IS crowded.parent_id
    )
    SELECT id, parent_id, role, CASE role WHEN 'user' THEN content ELSE '' END AS content
    FROM messages
    WHERE chat_id = :chat_id AND deleted_at IS NULL
        AND (id IN (SELECT id FROM forked)
            OR parent_id IN (SELECT id FROM forked WHERE role = 'user'))
    ORDER BY id
"""
# A message's id is higher than its parent's, so the last of the way down has the highest.
_NEWEST_END: Final = """
    WITH RECURSIVE down (id) AS (
        SELECT :message_id
        UNION ALL
        SELECT (SELECT max(messages.id) FROM messages
                    WHERE chat_id = :chat_id AND parent_id = down.id AND deleted_at IS NULL)
            FROM down WHERE down.id IS NOT NULL
    )
    SELECT max(id) FROM down
"""


def newest_end(connection: sqlite3.Connection, chat_id: int, message_id: int) -> int:
    """Follow the newest message below each to the last one."""
    where = {"chat_id": chat_id, "message_id": message_id}
    return int(connection.execute(_NEWEST_END, where).fetchone()[0])


def forks(connection: sqlite3.Connection, chat_id: int) -> tuple[Sibling, ...]:
    """Return the live messages at forks and those below questions at forks, in the order they were added."""
    rows = connection.execute(_FORKS, {"chat_id": chat_id})
    return tuple(Sibling(row["id"], row["parent_id"], Role(row["role"]), row["content"]) for row in rows)
