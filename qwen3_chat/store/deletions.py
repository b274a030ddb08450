"""The statements that delete messages and bring them back; each function runs in its caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from qwen3_chat.store import chats
from qwen3_chat.store.records import Deletion

_BELOW: Final = """
    WITH RECURSIVE below (id) AS (
        SELECT id FROM messages WHERE id = :message_id AND chat_id = :chat_id
        UNION ALL
        SELECT messages.id FROM messages JOIN below ON messages.parent_id = below.id
            WHERE messages.chat_id = :chat_id
    )
"""
_ABOVE: Final = """
    WITH RECURSIVE above (id) AS (
        SELECT :message_id
        UNION ALL
        SELECT messages.parent_id FROM messages JOIN above ON messages.id = above.id
            WHERE messages.parent_id IS NOT NULL
    )
"""


def delete(
    connection: sqlite3.Connection, now: int, chat_id: int, message_ids: Sequence[int], head_id: int | None
) -> Deletion:
    """Put messages out of sight with all that follows them; the chat goes on from `head_id`."""
    before = chats.get(connection, chat_id).head_id
    for message_id in message_ids:
        connection.execute(
            f"{_BELOW} UPDATE messages SET deleted_at = :now WHERE id IN below AND deleted_at IS NULL",
            {"message_id": message_id, "chat_id": chat_id, "now": now},
        )
    chats.set_head(connection, chat_id, head_id)
    return Deletion(chat_id, tuple(message_ids), now, before)


def restore(connection: sqlite3.Connection, deletion: Deletion) -> None:
    """Bring back what one deletion took, and nothing that was deleted before it."""
    for message_id in deletion.message_ids:
        connection.execute(
            f"{_BELOW} UPDATE messages SET deleted_at = NULL WHERE id IN below AND deleted_at = :then",
            {"message_id": message_id, "chat_id": deletion.chat_id, "then": deletion.deleted_at_ms},
        )
        revive(connection, message_id)
    chats.set_head(connection, deletion.chat_id, deletion.head_id)


def revive(connection: sqlite3.Connection, message_id: int) -> None:
    """Bring back a message and all it follows, where another window deleted one of them."""
    connection.execute(
        f"{_ABOVE} UPDATE messages SET deleted_at = NULL WHERE id IN above AND deleted_at IS NOT NULL",
        {"message_id": message_id},
    )
