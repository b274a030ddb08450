"""The mapping between rows of the database and records."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec.structs import astuple

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode, ToolCall
from qwen3_chat.record_copies import replace
from qwen3_chat.sampling import MAX_TOKEN_LIMIT, SAMPLING_PARAMETERS
from qwen3_chat.store.records import (
    NO_CHAT_OPTIONS,
    TOKEN_ID_BYTES,
    Chat,
    ChatOptions,
    ChatSummary,
    MessageMeta,
    StoredMessage,
    TitledBy,
)
from qwen3_chat.store.stored_row import EPOCH, StoredRow
from qwen3_chat.texts.terminal_safe import storable

MAX_FIGURE: Final = 1 << 40
"""No count and no duration in seconds of a message is larger."""
_meta_decoder = msgspec.json.Decoder(MessageMeta)
_options_decoder = msgspec.json.Decoder(ChatOptions)
_tool_calls_decoder = msgspec.json.Decoder(tuple[ToolCall, ...])


def chat_from_row(row: StoredRow) -> Chat:
    """Return the chat of a row of `chats`."""
    return Chat(
        id=row["id"],
        title=row.text("title"),
        system=row.text("system"),
        mode_override=_mode(row, "toggle"),
        head_id=row.optional_integer("head_id"),
        created_at=row.time("created_at"),
        updated_at=row.time("updated_at"),
        pinned=bool(row.integer("pinned")),
        draft=row.text("draft"),
        deleted_at=row.optional_time("deleted_at"),
        options=row.value("options", _checked_options, NO_CHAT_OPTIONS),
        titled_by=row.value("titled_by", TitledBy, TitledBy.USER),
    )


def summary_from_row(row: StoredRow) -> ChatSummary:
    """Return the line of the list of chats that a row holds."""
    return ChatSummary(
        id=row["id"],
        title=row.text("title"),
        updated_at=row.time("updated_at"),
        message_count=row.integer("message_count"),
        model=None if row["model"] is None else row.text("model"),
        pinned=bool(row.integer("pinned")),
    )


def message_from_row(row: StoredRow) -> StoredMessage:
    """Return the message of a row of `messages`."""
    meta = row.value("meta", decode_meta, MessageMeta())
    reasoning = row.text("reasoning")
    likely_role = Role.ASSISTANT if meta.model or reasoning else Role.USER
    return StoredMessage(
        id=row["id"],
        chat_id=row.integer("chat_id"),
        parent_id=row.optional_integer("parent_id"),
        message=ChatMessage(
            role=row.value("role", Role, likely_role),
            content=row.text("content"),
            reasoning=reasoning,
            tool_calls=() if row["tool_calls"] == "[]" else row.value("tool_calls", decode_tool_calls, ()),
            mode_tag=_mode(row, "mode_tag"),
        ),
        meta=meta,
        created_at=row.time("created_at"),
        packed_token_ids=row.packed("token_ids", TOKEN_ID_BYTES),
    )


def decode_tool_calls(text: str) -> tuple[ToolCall, ...]:
    """Decode the calls of a reply.

    Raises:
        ValueError: they are none.
    """
    return _tool_calls_decoder.decode(text)


def _checked_options(text: str) -> ChatOptions:
    """Decode the options of a chat.

    Raises:
        ValueError: they are none, or a number is out of its range.
    """
    options = _options_decoder.decode(text)
    for parameter in SAMPLING_PARAMETERS:
        value = getattr(options, parameter.name)
        if value is not None and not parameter.minimum <= value <= parameter.maximum:
            raise ValueError(parameter.name)
    for limit in (options.max_tokens, options.thinking_budget):
        if limit is not None and not 0 <= limit <= MAX_TOKEN_LIMIT:
            raise ValueError(limit)
    return options


def decode_meta(text: str) -> MessageMeta:
    """Decode the origin of a message.

    Raises:
        ValueError: it is none, or a number in it makes no sense.
    """
    meta = _meta_decoder.decode(text)
    numbers: list[object] = [meta.left_out]
    if meta.call is not None:
        numbers += [meta.call.index, meta.call.elapsed_s]
    for part in (meta.usage, meta.timings, meta.call and meta.call.whole):
        numbers += [] if part is None else astuple(part)
    if any(isinstance(number, int | float) and not 0 <= number <= MAX_FIGURE for number in numbers):
        raise ValueError(numbers)
    return meta


def message_columns(message: ChatMessage, meta: MessageMeta) -> dict[str, str | None]:
    """Return the columns of a message's own data, without its position in the tree."""
    return {
        "role": message.role.value,
        "content": storable(message.content),
        "reasoning": storable(message.reasoning),
        "tool_calls": msgspec.json.encode(
            [
                replace(call, name=storable(call.name), arguments=storable(call.arguments))
                for call in message.tool_calls
            ]
        ).decode(),
        "mode_tag": mode_column(message.mode_tag),
        "meta": msgspec.json.encode(_storable_meta(meta)).decode(),
    }


def _storable_meta(meta: MessageMeta) -> MessageMeta:
    if (call := meta.call) is None:
        return meta
    call = replace(call, name=storable(call.name), arguments=storable(call.arguments))
    return replace(meta, call=call)


def milliseconds(moment: datetime) -> int:
    """Return a time as the database stores it: milliseconds since 1970 in UTC."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def mode_column(mode: ThinkingMode | None) -> str | None:
    """Return a thinking mode as the database stores it."""
    return None if mode is None else mode.value


def _mode(row: StoredRow, name: str) -> ThinkingMode | None:
    return None if row[name] is None else row.value(name, ThinkingMode, None)
