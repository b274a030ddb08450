"""The mapping between rows of the database and records."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode, ToolCall
from qwen3_chat.store.records import Chat, ChatOptions, ChatSummary, MessageMeta, StoredMessage, TitledBy
from qwen3_chat.texts.terminal_safe import storable

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_meta_decoder = msgspec.json.Decoder(MessageMeta)
_options_decoder = msgspec.json.Decoder(ChatOptions)
_tool_calls_decoder = msgspec.json.Decoder(tuple[ToolCall, ...])


def chat_from_row(row: sqlite3.Row) -> Chat:
    """Return the chat of a row of `chats`."""
    return Chat(
        id=row["id"],
        title=row["title"],
        system=row["system"],
        mode_override=_mode_from_column(row["toggle"]),
        head_id=row["head_id"],
        created_at=_time(row["created_at"]),
        updated_at=_time(row["updated_at"]),
        pinned=bool(row["pinned"]),
        draft=row["draft"],
        deleted_at=None if row["deleted_at"] is None else _time(row["deleted_at"]),
        options=_options_decoder.decode(row["options"]),
        titled_by=TitledBy(row["titled_by"]),
    )


def summary_from_row(row: sqlite3.Row) -> ChatSummary:
    """Return the line of the list of chats that a row holds."""
    return ChatSummary(
        id=row["id"],
        title=row["title"],
        updated_at=_time(row["updated_at"]),
        message_count=row["message_count"],
        model=row["model"],
        pinned=bool(row["pinned"]),
    )


def message_from_row(row: sqlite3.Row) -> StoredMessage:
    """Return the message of a row of `messages`."""
    calls = row["tool_calls"]
    return StoredMessage(
        id=row["id"],
        chat_id=row["chat_id"],
        parent_id=row["parent_id"],
        message=ChatMessage(
            role=Role(row["role"]),
            content=row["content"],
            reasoning=row["reasoning"],
            tool_calls=() if calls == "[]" else _tool_calls_decoder.decode(calls),
            mode_tag=_mode_from_column(row["mode_tag"]),
        ),
        meta=_meta_decoder.decode(row["meta"]),
        created_at=_time(row["created_at"]),
        packed_token_ids=row["token_ids"],
    )


def message_columns(message: ChatMessage, meta: MessageMeta) -> dict[str, str | None]:
    """Return the columns of a message's own data, without its position in the tree."""
    return {
        "role": message.role.value,
        "content": storable(message.content),
        "reasoning": storable(message.reasoning),
        "tool_calls": msgspec.json.encode(
            [ToolCall(storable(call.name), storable(call.arguments)) for call in message.tool_calls]
        ).decode(),
        "mode_tag": mode_column(message.mode_tag),
        "meta": msgspec.json.encode(meta).decode(),
    }


def milliseconds(moment: datetime) -> int:
    """Return a time as the database stores it: milliseconds since 1970 in UTC."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _time(value: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=value)


def mode_column(mode: ThinkingMode | None) -> str | None:
    """Return a thinking mode as the database stores it."""
    return None if mode is None else mode.value


def _mode_from_column(value: str | None) -> ThinkingMode | None:
    return None if value is None else ThinkingMode(value)
