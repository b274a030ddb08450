"""A chat as JSON, complete enough for another copy of the app to import."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Annotated, Final

import msgspec

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode, ToolCall
from qwen3_chat.documents.export_options import ThinkingStyle
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ExportError
from qwen3_chat.store.records import Chat, MessageMeta, StoredMessage, pack_token_ids
from qwen3_chat.texts.terminal_safe import escape_json

FORMAT_NAME: Final = "qwen3-chat"
FORMAT_VERSION: Final = 1
_RowId = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A number that the database can hold."""
_TokenId = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


@dataclass(frozen=True, slots=True)
class ExportedChat:
    """The contents of an exported file."""

    chat: Chat
    messages: tuple[StoredMessage, ...]


class _ChatEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    id: _RowId
    title: str
    created_at: datetime
    updated_at: datetime
    head_id: _RowId | None
    system: str = ""
    toggle: ThinkingMode | None = None


class _MessageEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    id: _RowId
    parent_id: _RowId | None
    created_at: datetime
    role: Role
    content: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    mode_tag: ThinkingMode | None = None
    meta: MessageMeta = MessageMeta()
    token_ids: tuple[_TokenId, ...] = ()


class _File(msgspec.Struct, frozen=True):
    format: str
    version: int
    chat: _ChatEntry
    messages: tuple[_MessageEntry, ...]


def render_json(
    chat: Chat, messages: Sequence[StoredMessage], thinking: ThinkingStyle, zone: tzinfo | None
) -> str:
    """Return the chat as JSON; its times are UTC, whatever the zone."""
    del zone
    entry = _ChatEntry(
        id=chat.id,
        title=chat.title,
        created_at=chat.created_at,
        updated_at=chat.updated_at,
        head_id=messages[-1].id if messages else None,
        system=chat.system,
        toggle=chat.mode_override,
    )
    with_thinking = thinking is not ThinkingStyle.NONE
    lines = ",\n".join(f"    {_line(_message_entry(stored, with_thinking))}" for stored in messages)
    return (
        f'{{\n  "format": "{FORMAT_NAME}",\n  "version": {FORMAT_VERSION},\n  "chat": {_line(entry)},\n'
        f'  "messages": [\n{lines}\n  ]\n}}\n'
    )


def parse_json_export(text: str) -> ExportedChat:
    """Return the chat and the messages of a text that `render_json` made.

    Raises:
        ExportError: it is no such text, or has a newer version of the format.
    """
    try:
        file = msgspec.convert(json.loads(text), _File)
    except (ValueError, RecursionError, OverflowError) as error:
        raise ExportError(ErrorCode.EXPORT_UNREADABLE, reason=error) from error
    if file.format != FORMAT_NAME:
        raise ExportError(ErrorCode.EXPORT_UNREADABLE, reason=file.format)
    if file.version > FORMAT_VERSION:
        raise ExportError(ErrorCode.EXPORT_NEWER, version=file.version, known=FORMAT_VERSION)
    chat = file.chat
    return ExportedChat(
        Chat(
            id=chat.id,
            title=chat.title,
            system=chat.system,
            mode_override=chat.toggle,
            head_id=chat.head_id,
            created_at=chat.created_at,
            updated_at=chat.updated_at,
        ),
        tuple(_stored(entry, chat.id) for entry in file.messages),
    )


def _message_entry(stored: StoredMessage, with_thinking: bool) -> _MessageEntry:
    message = stored.message
    return _MessageEntry(
        id=stored.id,
        parent_id=stored.parent_id,
        created_at=stored.created_at,
        role=message.role,
        content=message.content,
        reasoning=message.reasoning if with_thinking else "",
        tool_calls=message.tool_calls,
        mode_tag=message.mode_tag,
        meta=stored.meta,
        token_ids=stored.token_ids if with_thinking else (),  # the ids spell the thinking
    )


def _stored(entry: _MessageEntry, chat_id: int) -> StoredMessage:
    return StoredMessage(
        id=entry.id,
        chat_id=chat_id,
        parent_id=entry.parent_id,
        message=ChatMessage(
            role=entry.role,
            content=entry.content,
            reasoning=entry.reasoning,
            tool_calls=entry.tool_calls,
            mode_tag=entry.mode_tag,
        ),
        meta=entry.meta,
        created_at=entry.created_at,
        packed_token_ids=pack_token_ids(entry.token_ids),
    )


def _line(entry: msgspec.Struct) -> str:
    """Encode an entry as one line that is safe on a terminal and readable in any script."""
    # Not msgspec's own encoder: it refuses lone surrogates, which are escaped here like the rest.
    fields = msgspec.to_builtins(entry)
    if "meta" in fields:
        fields["meta"] = {name: value for name, value in fields["meta"].items() if value is not None}
    return escape_json(json.dumps(fields, ensure_ascii=False))
