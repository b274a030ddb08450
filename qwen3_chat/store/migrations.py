"""The migrations of the database, from an empty file to the current schema, and the upgrade by them.

A released migration is never changed; a later change of the schema is a new migration.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import StoreError
from qwen3_chat.store.database import OWNER_ONLY, configure_connection, in_transaction
from qwen3_chat.store.row_mapping import decode_tool_calls
from qwen3_chat.store.search_terms import calls_text, index_text

APPLICATION_ID: Final = 0x51336368
"""`Q3ch`, the mark of this app's files among those of other programs; the command `file` shows it."""

_CHATS_AND_MESSAGES: Final = (
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


def create_chats_and_messages(connection: sqlite3.Connection) -> None:
    """Create the tables of version 1: chats with trees of messages.

    Times are milliseconds since 1970 in UTC. `messages.finished_at` is NULL while a reply is being written,
    and stays so where the app was killed. A message's parent is of the same chat. Parents have no ON DELETE
    CASCADE: it would recurse once per message, and SQLite allows a depth of 1,000; a chat's messages go with
    the chat in one statement.
    """
    for statement in _CHATS_AND_MESSAGES:
        connection.execute(statement)


_FULL_TEXT_SEARCH: Final = (
    "CREATE VIRTUAL TABLE message_terms USING fts5 (content, reasoning, tokenize = 'ascii')",
    "CREATE VIRTUAL TABLE title_terms USING fts5 (title, tokenize = 'ascii')",
)


def add_full_text_search(connection: sqlite3.Connection) -> None:
    """Create and fill the tables of version 2: full-text search over titles, messages and thinking.

    The tables hold terms cut by `search_terms`, and the tokenizer `ascii` splits those at their spaces and
    nowhere else: it takes every character beyond ASCII for a letter, where `unicode61` knows the letters of
    Unicode 6.1 only.
    """
    for statement in _FULL_TEXT_SEARCH:
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


_DELETIONS_AND_OPTIONS: Final = (
    "ALTER TABLE messages ADD COLUMN deleted_at INTEGER",
    "ALTER TABLE chats ADD COLUMN options TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE chats ADD COLUMN titled_by TEXT NOT NULL DEFAULT 'user'",
    "DROP INDEX messages_by_parent",
    # All columns that a walk through a tree reads, so that it need not skip over long texts.
    "CREATE INDEX messages_tree ON messages (chat_id, parent_id, role, deleted_at)",
    "CREATE INDEX messages_deleted ON messages (deleted_at) WHERE deleted_at IS NOT NULL",
)


def add_deletions_and_options(connection: sqlite3.Connection) -> None:
    """Add the columns of version 3: messages can be deleted, chats have options, titles have a source.

    A deleted message takes all that follow it along, so whatever a live message follows is live. Who named
    the chats of earlier versions is not known; they count as named by the user.
    """
    for statement in _DELETIONS_AND_OPTIONS:
        connection.execute(statement)


_LAST_USE: Final = (
    "ALTER TABLE chats ADD COLUMN last_use INTEGER NOT NULL DEFAULT 0",
    """
    UPDATE chats SET last_use = (
        SELECT count(*) FROM chats AS other WHERE (other.updated_at, other.id) <= (chats.updated_at, chats.id)
    )
    """,
    "DROP INDEX chats_by_time",
    "CREATE INDEX chats_by_use ON chats (last_use)",
)


def add_last_use(connection: sqlite3.Connection) -> None:
    """Add the column of version 4: a number that grows with each use of a chat, whatever the clock says."""
    for statement in _LAST_USE:
        connection.execute(statement)


def add_calls_to_search(connection: sqlite3.Connection) -> None:
    """Fill the search table of version 5 with the calls of replies: names and arguments."""
    rows = connection.execute("SELECT id, content, tool_calls FROM messages WHERE tool_calls <> '[]'")
    for row in rows.fetchall():
        with suppress(ValueError, RecursionError, TypeError):  # of a damaged file
            text = f"{row['content']}\n{calls_text(decode_tool_calls(row['tool_calls']))}"
            connection.execute(
                "UPDATE message_terms SET content = ? WHERE rowid = ?", (index_text(text), row["id"])
            )


_COMPARISONS: Final = (
    """
    CREATE TABLE comparisons (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        chat_id INTEGER REFERENCES chats (id) ON DELETE SET NULL,
        question_id INTEGER REFERENCES messages (id) ON DELETE SET NULL,
        head_id INTEGER REFERENCES messages (id) ON DELETE SET NULL,
        created_at INTEGER NOT NULL,
        verdict TEXT,
        winner INTEGER
    )
    """,
    """
    CREATE TABLE compared_answers (
        comparison_id INTEGER NOT NULL REFERENCES comparisons (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        title TEXT NOT NULL,
        mode TEXT NOT NULL,
        choice TEXT NOT NULL,
        message_id INTEGER REFERENCES messages (id) ON DELETE SET NULL,
        counts INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (comparison_id, position)
    )
    """,
    "CREATE INDEX comparisons_by_chat ON comparisons (chat_id)",
    "CREATE INDEX comparisons_by_question ON comparisons (question_id)",
    "CREATE INDEX comparisons_by_head ON comparisons (head_id)",
    "CREATE INDEX compared_answers_by_message ON compared_answers (message_id)",
)


def add_comparisons(connection: sqlite3.Connection) -> None:
    """Create the tables of version 6: questions that several models answer, with the user's votes.

    A vote names models and holds no text, so it outlives its chat. `counts` marks the answers that were
    there to be voted about.
    """
    for statement in _COMPARISONS:
        connection.execute(statement)


Migration = Callable[[sqlite3.Connection], None]

MIGRATIONS: Final[tuple[Migration, ...]] = (
    create_chats_and_messages,
    add_full_text_search,
    add_deletions_and_options,
    add_last_use,
    add_calls_to_search,
    add_comparisons,
)


def upgrade_schema(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration], now: datetime
) -> None:
    """Run the migrations that a file lacks, all in one transaction, after copying the file as it was.

    Raises:
        StoreError: the file is of a newer version, of another program, or the copy could not be made.
    """
    # Refuse a file before anything in it is changed; in one transaction, as another app may be creating it.
    version = in_transaction(connection, "DEFERRED", partial(_version, path=path, known=len(migrations)))
    configure_connection(connection, path)
    if version < len(migrations):
        missing = partial(_run_missing, path=path, migrations=migrations, now=now)
        in_transaction(connection, "IMMEDIATE", missing)


def prepare_copy(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS
) -> bool:
    """Return True for a file of an older version; a copy of it in memory is upgraded instead.

    Raises:
        StoreError: the file is of a newer version or of another program.
    """
    version = _version(connection, path, len(migrations))
    if version == len(migrations):
        return False
    if connection.execute("PRAGMA database_list").fetchone()[2]:  # the name of its file
        return True
    for migration in migrations[version:]:
        migration(connection)
    return False


def _run_missing(
    connection: sqlite3.Connection, *, path: Path, migrations: Sequence[Migration], now: datetime
) -> None:
    # Read again under the lock: another app may have upgraded the file meanwhile.
    version = _version(connection, path, len(migrations))
    if version == len(migrations):
        return
    copy = _copy_database(path, version, now) if version else None
    try:
        for migration in migrations[version:]:
            migration(connection)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
    except BaseException:
        if copy is not None:  # the file is unchanged, and a copy at each start would fill the disk
            copy.unlink()
        raise


def _version(connection: sqlite3.Connection, path: Path, known: int) -> int:
    """Return the file's version, 0 for an empty one."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if (version or tables) and application_id != APPLICATION_ID:
        raise StoreError(ErrorCode.CHAT_DATABASE_FOREIGN, path=path)
    if version > known:
        raise StoreError(ErrorCode.CHAT_DATABASE_NEWER, path=path, version=version, known=known)
    return version


def _copy_database(path: Path, version: int, now: datetime) -> Path:
    """Copy the file beside itself, through a second connection that sees the state before the migrations."""
    copy = path.with_name(f"{path.stem}-v{version}-{now:%Y%m%dT%H%M%S}.db")
    try:
        # Created here first, for its mode, and so that no earlier copy is overwritten.
        os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL, OWNER_ONLY))
        try:
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
        except BaseException:
            copy.unlink()
            raise
    except (sqlite3.Error, OSError) as error:
        raise StoreError(ErrorCode.CHAT_DATABASE_NOT_COPIED, path=copy, reason=error) from error
    return copy
