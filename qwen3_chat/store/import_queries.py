"""Chats of other databases and programs: checked, and stored under numbers of their own."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from qwen3_chat.chat import Role
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ChatImportError
from qwen3_chat.record_copies import replace
from qwen3_chat.store import chat_queries
from qwen3_chat.store.message_queries import branch, title_from_question
from qwen3_chat.store.records import NO_CHAT_OPTIONS, StoredMessage, TitledBy, WholeChat, WholeResult
from qwen3_chat.store.result_files import NotSaved
from qwen3_chat.store.row_mapping import decode_meta, message_columns, milliseconds, mode_column
from qwen3_chat.store.search_queries import INSERT_MESSAGE_TERMS, index_title, message_terms
from qwen3_chat.store.stored_row import EPOCH, MAX_TIME_MS
from qwen3_chat.texts.terminal_safe import storable

MAX_IMPORTED_CHARS: Final = 64 << 20
"""The most characters of one text; SQLite's limit is a thousand million bytes for a row."""
_MESSAGE_COLUMNS: Final = (
    *("id", "chat_id", "parent_id", "role", "content", "reasoning", "tool_calls", "mode_tag", "meta"),
    *("token_ids", "created_at", "finished_at"),
)
_INSERT_MESSAGE: Final = (
    f"INSERT INTO messages ({', '.join(_MESSAGE_COLUMNS)})"
    f" VALUES ({', '.join(f':{name}' for name in _MESSAGE_COLUMNS)})"
)
_INSERT_CHAT: Final = (
    "INSERT INTO chats (title, system, toggle, titled_by, created_at, updated_at, last_use)"
    f" VALUES (?, ?, ?, ?, ?, ?, {chat_queries.NEXT_USE})"
)

_LAST_MESSAGE_ID: Final = """
    SELECT max(coalesce((SELECT max(id) FROM messages), 0),
        coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'messages'), 0))
"""
"""A deleted message's number is never given again."""


def check_importable(whole: WholeChat) -> WholeChat:
    """Return a chat as it can be stored: each message after the one that it follows, with a head of its own.

    Options and permissions are none of a chat that comes from elsewhere.

    Raises:
        ChatImportError: the messages are no tree, or one holds what this app can't store.
    """
    messages = _parents_first(whole.messages)
    for stored in messages:
        _check_message(stored)
    ids = {stored.id for stored in messages}
    chat = whole.chat
    if chat.head_id not in ids:
        chat = replace(chat, head_id=messages[-1].id if messages else None)
    titled_by = TitledBy.USER if chat.title.strip() else TitledBy.WORDS
    if titled_by is TitledBy.WORDS:
        questions = (stored.message.content for stored in messages if stored.message.role is Role.USER)
        chat = replace(chat, title=title_from_question(next(questions, "")))
    chat = replace(chat, options=NO_CHAT_OPTIONS, titled_by=titled_by, draft="", pinned=False)
    return WholeChat(replace(chat, deleted_at=None), messages)


def _parents_first(messages: Sequence[StoredMessage]) -> tuple[StoredMessage, ...]:
    """Return the messages with each after its parent, otherwise in their order."""
    places = {stored.id: place for place, stored in enumerate(messages)}
    if len(places) < len(messages):
        raise ChatImportError(ErrorCode.IMPORT_MESSAGES_ENTANGLED)
    waiting: dict[int, list[int]] = {}
    ready = list[int]()
    for place, stored in enumerate(messages):
        if stored.parent_id is None:
            ready.append(place)
        elif stored.parent_id in places:
            waiting.setdefault(stored.parent_id, []).append(place)
        else:
            raise ChatImportError(ErrorCode.IMPORT_PARENT_MISSING, number=place + 1)
    heapq.heapify(ready)
    ordered = list[StoredMessage]()
    while ready:
        stored = messages[heapq.heappop(ready)]
        ordered.append(stored)
        for place in waiting.pop(stored.id, ()):
            heapq.heappush(ready, place)
    if waiting:
        raise ChatImportError(ErrorCode.IMPORT_MESSAGES_ENTANGLED)
    return tuple(ordered)


def _check_message(stored: StoredMessage) -> None:
    message = stored.message
    if message.role is Role.SYSTEM:
        raise ChatImportError(ErrorCode.IMPORT_SYSTEM_PROMPT_LATE)
    calls = sum(len(call.name) + len(call.arguments) for call in message.tool_calls)
    if max(len(message.content), len(message.reasoning), calls) > MAX_IMPORTED_CHARS:
        raise ChatImportError(ErrorCode.IMPORT_TEXT_TOO_LONG, limit=f"{MAX_IMPORTED_CHARS:,}")
    try:
        decode_meta(message_columns(message, stored.meta)["meta"] or "")
    except (ValueError, OverflowError, RecursionError) as error:
        raise ChatImportError(ErrorCode.IMPORT_VALUE_INVALID, reason=error) from error


def import_chats(
    connection: sqlite3.Connection,
    now: int,
    chats: Sequence[WholeChat],
    has_result: Callable[[WholeResult], bool],
) -> tuple[int, ...]:
    """Store chats that `check_importable` returned; return their numbers, in order.

    The chat that was changed last comes first in the list of chats. A whole result keeps its file only where
    that is in this store.
    """
    ids = dict[int, int]()
    for index in sorted(range(len(chats)), key=lambda index: _stored_time(chats[index].chat.updated_at, now)):
        ids[index] = _insert_chat(connection, now, chats[index], has_result)
    return tuple(ids[index] for index in range(len(chats)))


def copy_branch(connection: sqlite3.Connection, now: int, chat_id: int, head_id: int) -> int:
    """Copy a chat with its messages up to `head_id`, and its options, into a new chat; return its number."""
    chat, messages = chat_queries.get_chat(connection, chat_id), branch(connection, chat_id, head_id)
    moment = EPOCH + timedelta(milliseconds=now)
    whole = WholeChat(replace(chat, head_id=head_id, created_at=moment, updated_at=moment), messages)
    copy_id = _insert_chat(connection, now, whole, lambda result: True)
    chat_queries.set_options(connection, copy_id, chat.options)
    return copy_id


def _insert_chat(
    connection: sqlite3.Connection, now: int, whole: WholeChat, has_result: Callable[[WholeResult], bool]
) -> int:
    chat = whole.chat
    values = (
        storable(chat.title),
        storable(chat.system),
        mode_column(chat.mode_override),
        chat.titled_by.value,
        _stored_time(chat.created_at, now),
        _stored_time(chat.updated_at, now),
    )
    chat_id = connection.execute(_INSERT_CHAT, values).lastrowid or 0
    index_title(connection, chat_id, chat.title)
    next_id = 1 + int(connection.execute(_LAST_MESSAGE_ID).fetchone()[0])
    ids = {stored.id: next_id + place for place, stored in enumerate(whole.messages)}
    rows = [_message_row(stored, chat_id, ids, now, has_result) for stored in whole.messages]
    connection.executemany(_INSERT_MESSAGE, rows)
    connection.executemany(
        INSERT_MESSAGE_TERMS,
        (
            (ids[stored.id], *message_terms(row["content"], row["tool_calls"], row["reasoning"], row["meta"]))
            for stored, row in zip(whole.messages, rows, strict=True)
        ),
    )
    chat_queries.set_head(connection, chat_id, None if chat.head_id is None else ids[chat.head_id])
    return chat_id


def _message_row(
    stored: StoredMessage,
    chat_id: int,
    ids: dict[int, int],
    now: int,
    has_result: Callable[[WholeResult], bool],
) -> dict[str, Any]:
    meta, call = stored.meta, stored.meta.call
    if call is not None and call.whole is not None and call.whole.sha256 and not has_result(call.whole):
        whole = WholeResult(call.whole.characters, not_saved=NotSaved.NOT_IMPORTED.value)
        meta = replace(meta, call=replace(call, whole=whole))
    created_at = _stored_time(stored.created_at, now)
    return {
        **message_columns(stored.message, meta),
        "id": ids[stored.id],
        "chat_id": chat_id,
        "parent_id": None if stored.parent_id is None else ids[stored.parent_id],
        "token_ids": stored.packed_token_ids,
        "created_at": created_at,
        "finished_at": created_at,
    }


def _stored_time(moment: datetime, now: int) -> int:
    """Return a time as the database stores it, in UTC where it has no zone; `now` where it is none."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        time_ms = milliseconds(aware)
    except OverflowError:
        return now
    return time_ms if 0 <= time_ms <= MAX_TIME_MS else now
