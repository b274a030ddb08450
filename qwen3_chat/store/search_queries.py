"""The statements on the full-text search tables; each function runs inside a transaction of its caller."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Final

from qwen3_chat.chat import ToolCall
from qwen3_chat.store.records import EDITED_CALL, MessageMeta, SearchHit, SearchOrder
from qwen3_chat.store.row_mapping import decode_meta, decode_tool_calls, message_from_row
from qwen3_chat.store.search_terms import Excerpt, calls_text, index_text, match_expression, search_excerpt
from qwen3_chat.store.stored_row import StoredRow

# The ids first: sorting them alone is many times faster than sorting whole messages.
_SEARCH: Final = """
    WITH hits (id, position) AS (
        SELECT message_terms.rowid, row_number() OVER (ORDER BY {order})
        FROM message_terms
            JOIN messages ON messages.id = message_terms.rowid
            JOIN chats ON chats.id = messages.chat_id
        WHERE message_terms MATCH :query AND chats.deleted_at IS NULL AND messages.deleted_at IS NULL
        ORDER BY {order} LIMIT :limit
    )
    SELECT messages.*, chats.title
    FROM hits
        JOIN messages ON messages.id = hits.id
        JOIN chats ON chats.id = messages.chat_id
    ORDER BY position
"""
_ORDERS: Final = {
    SearchOrder.NEWEST: "message_terms.rowid DESC",
    # A word of the answer says more about a message than a word of its thinking.
    SearchOrder.RELEVANCE: "bm25(message_terms, 2.0, 1.0), message_terms.rowid DESC",
}

INSERT_MESSAGE_TERMS: Final = "INSERT INTO message_terms (rowid, content, reasoning) VALUES (?, ?, ?)"


def search_messages(
    connection: sqlite3.Connection, query: str, order: SearchOrder, limit: int
) -> tuple[SearchHit, ...]:
    """Return the messages whose content, calls and thinking together contain every phrase of a query."""
    expression = match_expression(query)
    if expression is None:
        return ()
    statement = _SEARCH.format(order=_ORDERS[order])
    rows = connection.execute(statement, {"query": expression, "limit": limit})
    return tuple(_search_hit(row, query) for row in rows)


def index_message(connection: sqlite3.Connection, message_id: int) -> None:
    """Update the search table for a message."""
    row = connection.execute(
        "SELECT content, reasoning, tool_calls, meta FROM messages WHERE id = ?", (message_id,)
    ).fetchone()
    remove_message(connection, message_id)
    terms = message_terms(*(str(row[name]) for name in ("content", "tool_calls", "reasoning", "meta")))
    connection.execute(INSERT_MESSAGE_TERMS, (message_id, *terms))


def remove_message(connection: sqlite3.Connection, message_id: int) -> None:
    """Remove a message from the search table, if it is there."""
    connection.execute("DELETE FROM message_terms WHERE rowid = ?", (message_id,))


def message_terms(content: str, tool_calls: str, reasoning: str, meta: str) -> tuple[str, str]:
    """Return the terms of a stored message for the search table: of answer and calls, and of the thinking.

    A result whose call ran with other arguments than the model's is found by those, too.
    """
    answer = "\n".join(filter(None, (content, _stored_calls_text(tool_calls), _stored_changes(meta))))
    return index_text(answer), index_text(reasoning)


def _stored_calls_text(tool_calls: str) -> str:
    if tool_calls == "[]":
        return ""
    with suppress(ValueError, RecursionError):  # damaged ones are noted where they are shown
        return calls_text(decode_tool_calls(tool_calls))
    return ""


def _stored_changes(meta: str) -> str:
    if EDITED_CALL not in meta:  # nearly all have none
        return ""
    with suppress(ValueError, RecursionError):  # damaged ones are noted where they are shown
        return _changes_text(decode_meta(meta))
    return ""


def _changes_text(meta: MessageMeta) -> str:
    """Return the arguments with which a call ran, as text to search, if the user had changed them."""
    call = meta.call
    if call is None or call.decision != EDITED_CALL:
        return ""
    return calls_text([ToolCall("", call.arguments)]).strip()


def index_title(connection: sqlite3.Connection, chat_id: int, title: str) -> None:
    """Update the search table for a chat's title."""
    connection.execute("DELETE FROM title_terms WHERE rowid = ?", (chat_id,))
    connection.execute("INSERT INTO title_terms (rowid, title) VALUES (?, ?)", (chat_id, index_text(title)))


def _search_hit(row: StoredRow, query: str) -> SearchHit:
    stored = message_from_row(row)
    in_content = search_excerpt(stored.message.content, query)
    calls = "\n".join(filter(None, (calls_text(stored.message.tool_calls), _changes_text(stored.meta))))
    in_call = None if in_content else search_excerpt(calls, query)
    in_reasoning = None if in_content or in_call else search_excerpt(stored.message.reasoning, query)
    shown = in_content or in_call or in_reasoning or Excerpt("", ())
    return SearchHit(
        chat_id=stored.chat_id,
        chat_title=row.text("title"),
        message_id=stored.id,
        role=stored.message.role,
        in_reasoning=in_reasoning is not None,
        in_call=in_call is not None,
        excerpt=shown.text,
        marks=shown.marks,
        created_at=stored.created_at,
    )
