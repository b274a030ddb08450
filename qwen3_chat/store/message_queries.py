"""The statements on messages and their tree; each function runs inside a transaction of its caller."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from rich.cells import cell_len, set_cell_size

from qwen3_chat.chat import ChatMessage, Role
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import StoreError
from qwen3_chat.store import chat_queries
from qwen3_chat.store.records import (
    Chat,
    Deletion,
    MessageMeta,
    Sibling,
    StoredMessage,
    TitledBy,
    pack_token_ids,
)
from qwen3_chat.store.row_mapping import message_columns, message_from_row
from qwen3_chat.store.search_queries import index_message, remove_message
from qwen3_chat.store.stored_row import StoredRow, is_damage, note_damage
from qwen3_chat.texts.terminal_safe import storable, terminal_safe

MAX_DEFAULT_TITLE_CELLS: Final = 100

# Mode tags at the ends of a line, with the punctuation that belongs to nothing else; a part of a longer word
# or of a path is no tag. The repetition is bounded, so that no line takes long.
_FIRST_TAGS: Final = re.compile(r"^(?:/(?:no_)?think(?![A-Za-z0-9_/-]|\.\w)[\s,;:.，；：。]*){1,8}")
_LAST_TAGS: Final = re.compile(r"(?:(?<![A-Za-z0-9_/-])/(?:no_)?think[.。]?\s*){1,8}$")

# A message's id is higher than its parent's, so the order of ids is the order of the branch. UNION, here and
# below, visits each message once: in a damaged file, parents may go round in a circle.
_BRANCH: Final = """
    WITH RECURSIVE branch (id) AS (
        SELECT :head_id
        UNION
        SELECT messages.parent_id FROM messages JOIN branch ON messages.id = branch.id
            WHERE messages.parent_id IS NOT NULL
    )
    SELECT * FROM messages WHERE id IN branch ORDER BY id
"""
# For the same reason, the last message on the way down has the highest id.
_NEWEST_LEAF: Final = """
    WITH RECURSIVE down (id) AS (
        SELECT :message_id
        UNION
        SELECT (SELECT max(messages.id) FROM messages
                    WHERE chat_id = :chat_id AND parent_id = down.id AND deleted_at IS NULL)
            FROM down WHERE down.id IS NOT NULL
    )
    SELECT max(id) FROM down
"""
# Forks are few: the count uses an index, and texts are read only of the questions at a fork. A question may
# be asked twice below the same message, for answers in two modes, so the answers to all of them come.
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
_BELOW: Final = """
    WITH RECURSIVE below (id) AS (
        SELECT id FROM messages WHERE id = :message_id AND chat_id = :chat_id
        UNION
        SELECT messages.id FROM messages JOIN below ON messages.parent_id = below.id
            WHERE messages.chat_id = :chat_id
    )
"""
_ABOVE: Final = """
    WITH RECURSIVE above (id) AS (
        SELECT :message_id
        UNION
        SELECT messages.parent_id FROM messages JOIN above ON messages.id = above.id
            WHERE messages.parent_id IS NOT NULL
    )
"""

_UNFINISHED: Final = "SELECT id FROM messages WHERE finished_at IS NULL"
_UNFINISHED_WITHOUT_TERMS: Final = (
    f"{_UNFINISHED} AND NOT EXISTS (SELECT 1 FROM message_terms WHERE message_terms.rowid = messages.id)"
)

# The index finds the results of tools without a look at the texts of all other messages.
_WHOLE_RESULTS: Final = """
    SELECT CASE WHEN json_valid(meta) THEN json_extract(meta, '$.call.whole.sha256') END AS sha256,
        CASE WHEN json_valid(meta) THEN json_extract(meta, '$.call.whole.size_bytes') END AS size_bytes
    FROM messages
    WHERE id IN (SELECT id FROM messages INDEXED BY messages_tree
                    WHERE role = 'tool' AND (:chat_id IS NULL OR chat_id = :chat_id))
"""


def add_message(
    connection: sqlite3.Connection,
    now: int,
    chat_id: int,
    parent_id: int | None,
    message: ChatMessage,
    meta: MessageMeta,
) -> StoredMessage:
    """Add a message below `parent_id`, make it the chat's head, title the chat after its first question.

    A reply without a stop reason is still being written.
    """
    chat = chat_queries.get_chat(connection, chat_id)
    if parent_id is not None:
        _check_is_in_chat(connection, chat_id, parent_id)
        restore_with_ancestors(connection, parent_id)
    is_unfinished = message.role is Role.ASSISTANT and meta.stop_reason is None
    row = {
        **message_columns(message, meta),
        "chat_id": chat_id,
        "parent_id": parent_id,
        "created_at": now,
        "finished_at": None if is_unfinished else now,
    }
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    message_id = connection.execute(f"INSERT INTO messages ({names}) VALUES ({values})", row).lastrowid or 0
    chat_queries.set_head(connection, chat_id, message_id)
    chat_queries.touch_chat(connection, chat_id, now)
    if message.role is Role.USER and not chat.title:
        chat_queries.set_title(connection, chat_id, title_from_question(message.content), TitledBy.WORDS)
    if not is_unfinished:
        index_message(connection, message_id)
    return get_message(connection, message_id)


def save_partial(connection: sqlite3.Connection, message_id: int, content: str, reasoning: str) -> None:
    """Save the part of a reply that has arrived so far; a finished reply stays as it is.

    Terms of an earlier text go, so that whatever the search table has of an unfinished reply is up to date.
    """
    cursor = connection.execute(
        "UPDATE messages SET content = ?, reasoning = ? WHERE id = ? AND finished_at IS NULL",
        (storable(content), storable(reasoning), message_id),
    )
    if cursor.rowcount:
        with _noting_damage(connection, f"{message_id}: search"):
            remove_message(connection, message_id)


def reopen_message(connection: sqlite3.Connection, message_id: int) -> None:
    """Mark a reply as unfinished."""
    connection.execute("UPDATE messages SET finished_at = NULL WHERE id = ?", (message_id,))


def finish_message(
    connection: sqlite3.Connection,
    now: int,
    message_id: int,
    message: ChatMessage,
    meta: MessageMeta,
    token_ids: tuple[int, ...],
) -> StoredMessage:
    """Store a reply as it ended and make it searchable."""
    row = {**message_columns(message, meta), "token_ids": pack_token_ids(token_ids), "finished_at": now}
    changes = ", ".join(f"{name} = :{name}" for name in row)
    cursor = connection.execute(
        f"UPDATE messages SET {changes} WHERE id = :message_id", {**row, "message_id": message_id}
    )
    if cursor.rowcount == 0:
        raise StoreError(ErrorCode.MESSAGE_NOT_FOUND, message_id=message_id)
    stored = get_message(connection, message_id)
    chat_queries.touch_chat(connection, stored.chat_id, now)
    index_message(connection, message_id)
    return stored


def get_message(connection: sqlite3.Connection, message_id: int) -> StoredMessage:
    """Return a message.

    Raises:
        StoreError: there is no message with this id.
    """
    row = connection.execute("SELECT * FROM messages WHERE id = ?", (message_id,)).fetchone()
    if row is None:
        raise StoreError(ErrorCode.MESSAGE_NOT_FOUND, message_id=message_id)
    return message_from_row(row)


def latest_questions(connection: sqlite3.Connection, limit: int) -> tuple[str, ...]:
    """Return the texts of the latest questions of all chats, oldest first."""
    rows = connection.execute(
        "SELECT id, content FROM messages WHERE role = 'user' AND deleted_at IS NULL"
        " ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    return tuple(row.text("content") for row in rows)[::-1]


def title_from_question(text: str) -> str:
    """Return the first line of a text that is not blank, without a mode tag at its ends, cut to 100 cells."""
    lines = (_without_tags(" ".join(line.split())) for line in terminal_safe(text).splitlines())
    title = next((line for line in lines if line), "")
    if cell_len(title) <= MAX_DEFAULT_TITLE_CELLS:
        return title
    return set_cell_size(title, MAX_DEFAULT_TITLE_CELLS - 1).rstrip() + "…"


def _without_tags(line: str) -> str:
    return _LAST_TAGS.sub("", _FIRST_TAGS.sub("", line)).rstrip()


def branch(connection: sqlite3.Connection, chat_id: int, head_id: int | None) -> tuple[StoredMessage, ...]:
    """Return the messages from the first to `head_id`, or to the chat's head."""
    chat = chat_queries.get_chat(connection, chat_id)
    if head_id is not None:
        _check_is_in_chat(connection, chat_id, head_id)
    last_id = _head_or_latest(connection, chat) if head_id is None else head_id
    try:
        rows = connection.execute(_BRANCH, {"head_id": last_id}).fetchall()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        rows = _readable_rows(connection, chat_id, last_id)
    messages = tuple(message_from_row(row) for row in rows if row["chat_id"] == chat_id)
    parents = (None, *(message.id for message in messages))
    for message, parent_id in zip(messages, parents, strict=False):
        if message.parent_id != parent_id:
            note_damage(connection, f"{message.id}: parent")
    return messages


def all_messages(connection: sqlite3.Connection, chat_id: int) -> tuple[StoredMessage, ...]:
    """Return the live messages of all branches of a chat, each after the one that it follows.

    Where a page is damaged, those of the chat's own branch that can be read.
    """
    chat_queries.get_chat(connection, chat_id)
    statement = "SELECT * FROM messages WHERE chat_id = ? AND deleted_at IS NULL ORDER BY id"
    try:
        rows = connection.execute(statement, (chat_id,)).fetchall()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return branch(connection, chat_id, None)
    return tuple(message_from_row(row) for row in rows)


def _head_or_latest(connection: sqlite3.Connection, chat: Chat) -> int | None:
    """Return the chat's head; its latest message where the head is no message of it."""
    if chat.head_id is None:
        return None
    with suppress(StoreError):
        _check_is_in_chat(connection, chat.id, chat.head_id)
        return chat.head_id
    note_damage(connection, f"chat {chat.id}: head")
    row = connection.execute(
        "SELECT max(id) FROM messages WHERE chat_id = ? AND deleted_at IS NULL", (chat.id,)
    ).fetchone()
    return None if row[0] is None else int(row[0])


def _readable_rows(connection: sqlite3.Connection, chat_id: int, last_id: int | None) -> list[StoredRow]:
    """Return the rows of a branch one by one, without those on damaged pages, oldest first."""
    rows: dict[int, StoredRow] = {}
    seen: set[int] = set()
    next_id = last_id
    while (message_id := next_id) is not None and message_id not in seen:
        seen.add(message_id)
        try:
            row = connection.execute("SELECT * FROM messages WHERE id = ?", (message_id,)).fetchone()
        except sqlite3.DatabaseError:
            note_damage(connection, f"{message_id}: page")
            next_id = _parent_of_unreadable(connection, chat_id, message_id)
            continue
        if row is None:
            break
        rows[message_id] = row
        next_id = row.optional_integer("parent_id")
    return [rows[row_id] for row_id in sorted(rows)]


def _parent_of_unreadable(connection: sqlite3.Connection, chat_id: int, message_id: int) -> int | None:
    """Return the parent of a message whose text can't be read; else the message before it in the chat."""
    for statement in (
        "SELECT parent_id FROM messages WHERE id = :id AND chat_id = :chat_id",
        "SELECT max(id) FROM messages INDEXED BY messages_tree WHERE chat_id = :chat_id AND id < :id",
    ):
        with suppress(sqlite3.DatabaseError):
            row = connection.execute(statement, {"id": message_id, "chat_id": chat_id}).fetchone()
            if row is not None and isinstance(row[0], int):
                return row[0]
    return None


def children(
    connection: sqlite3.Connection, chat_id: int, parent_id: int | None
) -> tuple[StoredMessage, ...]:
    """Return the messages directly below a message, oldest first; those without a parent for None."""
    rows = connection.execute(
        "SELECT * FROM messages WHERE chat_id = ? AND parent_id IS ? AND deleted_at IS NULL ORDER BY id",
        (chat_id, parent_id),
    )
    return tuple(message_from_row(row) for row in rows)


def siblings(connection: sqlite3.Connection, message_id: int) -> tuple[StoredMessage, ...]:
    """Return the messages below the same parent, the message itself among them, oldest first."""
    message = get_message(connection, message_id)
    return children(connection, message.chat_id, message.parent_id)


def newest_leaf(connection: sqlite3.Connection, chat_id: int, message_id: int) -> int:
    """Return the last message of the newest branch below a message."""
    parameters = {"chat_id": chat_id, "message_id": message_id}
    return int(connection.execute(_NEWEST_LEAF, parameters).fetchone()[0])


def forks(connection: sqlite3.Connection, chat_id: int) -> tuple[Sibling, ...]:
    """Return the live messages at forks and the answers to questions there, oldest first."""
    rows = connection.execute(_FORKS, {"chat_id": chat_id})
    return tuple(
        Sibling(row["id"], row.optional_integer("parent_id"), role, row.text("content"))
        for row in rows
        if (role := row.value("role", Role, None)) is not None
    )


def move_head(connection: sqlite3.Connection, chat_id: int, message_id: int | None) -> None:
    """Set the head of a chat to one of its messages; None is before the first message."""
    if message_id is not None:
        _check_is_in_chat(connection, chat_id, message_id)
        restore_with_ancestors(connection, message_id)
    chat_queries.set_head(connection, chat_id, message_id)


def delete_messages(
    connection: sqlite3.Connection, now: int, chat_id: int, message_ids: Sequence[int], head_id: int | None
) -> Deletion:
    """Mark messages and all below them as deleted; the chat's head becomes `head_id`."""
    previous_head_id = chat_queries.get_chat(connection, chat_id).head_id
    for message_id in message_ids:
        connection.execute(
            f"{_BELOW} UPDATE messages SET deleted_at = :now WHERE id IN below AND deleted_at IS NULL",
            {"message_id": message_id, "chat_id": chat_id, "now": now},
        )
    chat_queries.set_head(connection, chat_id, head_id)
    return Deletion(chat_id, tuple(message_ids), now, previous_head_id)


def restore_messages(connection: sqlite3.Connection, deletion: Deletion) -> None:
    """Restore the messages of a deletion, and nothing that was deleted before it."""
    for message_id in deletion.message_ids:
        connection.execute(
            f"{_BELOW} UPDATE messages SET deleted_at = NULL WHERE id IN below AND deleted_at = :then",
            {"message_id": message_id, "chat_id": deletion.chat_id, "then": deletion.deleted_at_ms},
        )
        restore_with_ancestors(connection, message_id)
    chat_queries.set_head(connection, deletion.chat_id, deletion.head_id)


def restore_with_ancestors(connection: sqlite3.Connection, message_id: int) -> None:
    """Restore a message and all above it, where another window deleted any of them."""
    connection.execute(
        f"{_ABOVE} UPDATE messages SET deleted_at = NULL WHERE id IN above AND deleted_at IS NOT NULL",
        {"message_id": message_id},
    )


def index_unfinished(connection: sqlite3.Connection) -> None:
    """Make replies that a crash cut off searchable, once; those being written in another app do no harm."""
    try:
        rows = connection.execute(_UNFINISHED_WITHOUT_TERMS).fetchall()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        rows = connection.execute(_UNFINISHED).fetchall()
    for row in rows:
        with _noting_damage(connection, f"{row['id']}: search"):
            index_message(connection, row["id"])


@contextmanager
def _noting_damage(connection: sqlite3.Connection, place: str) -> Iterator[None]:
    """Note a damaged page instead of raising: search is not worth a text, or a start."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        note_damage(connection, place)


def saved_hashes(connection: sqlite3.Connection) -> frozenset[str]:
    """Return the hashes of all whole results that a message has, a deleted one too."""
    rows = connection.execute(f"SELECT DISTINCT sha256 FROM ({_WHOLE_RESULTS})", {"chat_id": None})
    return frozenset(str(row[0]) for row in rows)


def saved_bytes(connection: sqlite3.Connection, chat_id: int) -> int:
    """Return the size of all whole results of a chat; equal ones share a file."""
    sizes = f"SELECT max(size_bytes) AS size_bytes FROM ({_WHOLE_RESULTS}) GROUP BY sha256"
    statement = f"SELECT coalesce(sum(size_bytes), 0) FROM ({sizes})"
    return int(connection.execute(statement, {"chat_id": chat_id}).fetchone()[0])


def _check_is_in_chat(connection: sqlite3.Connection, chat_id: int, message_id: int) -> None:
    row = connection.execute("SELECT chat_id FROM messages WHERE id = ?", (message_id,)).fetchone()
    if row is None or row["chat_id"] != chat_id:
        raise StoreError(ErrorCode.MESSAGE_NOT_FOUND, message_id=message_id)
