"""Version 2: full-text search over titles, messages and thinking.

The tables hold terms cut by `search_terms`, and the tokenizer `ascii` splits those at their spaces and
nowhere else: it takes every character beyond ASCII for a letter, where `unicode61` knows the letters of
Unicode 6.1 only.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from qwen3_chat.store.search_terms import index_text

_STATEMENTS: Final = (
    "CREATE VIRTUAL TABLE message_terms USING fts5 (content, reasoning, tokenize = 'ascii')",
    "CREATE VIRTUAL TABLE title_terms USING fts5 (title, tokenize = 'ascii')",
)


def apply(connection: sqlite3.Connection) -> None:
    """Make the search tables from what is there."""
    for statement in _STATEMENTS:
        connection.execute(statement)
    for row in connection.execute("SELECT id, content, reasoning FROM messages"):
        connection.execute(
            "INSERT INTO message_terms (rowid, content, reasoning) VALUES (?, ?, ?)",
            (row["id"], index_text(row["content"]), index_text(row["reasoning"])),
        )
    for row in connection.execute("SELECT id, title FROM chats"):
        connection.execute(
            "INSERT INTO title_terms (rowid, title) VALUES (?, ?)", (row["id"], index_text(row["title"]))
        )
