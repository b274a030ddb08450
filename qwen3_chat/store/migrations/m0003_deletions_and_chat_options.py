"""Version 3: messages can be deleted and brought back, chats have options, titles know who gave them.

A deleted message takes all that follow it along, so whatever a live message follows is live. Who named the
chats of earlier versions is not known; they count as named by the user.
"""

from __future__ import annotations

import sqlite3
from typing import Final

_STATEMENTS: Final = (
    "ALTER TABLE messages ADD COLUMN deleted_at INTEGER",
    "ALTER TABLE chats ADD COLUMN options TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE chats ADD COLUMN titled_by TEXT NOT NULL DEFAULT 'user'",
    "DROP INDEX messages_by_parent",
    # All that walks through trees reads, so that long texts need not be passed over.
    "CREATE INDEX messages_tree ON messages (chat_id, parent_id, role, deleted_at)",
    "CREATE INDEX messages_deleted ON messages (deleted_at) WHERE deleted_at IS NOT NULL",
)


def apply(connection: sqlite3.Connection) -> None:
    """Add the columns."""
    for statement in _STATEMENTS:
        connection.execute(statement)
