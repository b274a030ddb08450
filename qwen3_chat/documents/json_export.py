"""A chat as JSON, complete enough for another copy of the app to import.

docs/export-format.md describes it. It holds no permission and no choice of tools; reading it runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from typing import Annotated, Final

import msgspec

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode, ToolCall
from qwen3_chat.documents.export_options import ThinkingStyle
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ExportError
from qwen3_chat.record_copies import replace
from qwen3_chat.store.records import (
    CallRecord,
    Chat,
    MessageMeta,
    StoredMessage,
    WholeChat,
    WholeResult,
    pack_token_ids,
)
from qwen3_chat.store.row_mapping import MAX_FIGURE
from qwen3_chat.texts.terminal_safe import escape_json

FORMAT_NAME: Final = "qwen3-chat"
FORMAT_VERSION: Final = 2
_RowId = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A number that the database can hold."""
_TokenId = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_FIGURE)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=MAX_FIGURE)]
_CallId = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,19}\.[0-9]{1,9}\Z")]
"""The id of the reply and the position of the call in it."""
_Sha256 = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?\Z")]


class _ChatEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    id: _RowId
    title: str
    created_at: datetime
    updated_at: datetime
    head_id: _RowId | None
    system: str = ""
    toggle: ThinkingMode | None = None


class _CallEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    arguments: str
    is_repaired: bool = False
    values_are_text: bool = False
    id: _CallId | None = None
    """Version 1 has none."""


class _WholeEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    characters: _Count
    sha256: _Sha256 = ""
    size_bytes: _Count = 0
    not_saved: str = ""


class _ResultEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """The outcome of a call; version 1 has it as a `CallRecord` in `meta`."""

    id: _CallId
    name: str
    arguments: str
    decision: str
    is_error: bool
    elapsed_s: _Seconds
    is_repaired: bool = False
    whole: _WholeEntry | None = None


class _MessageEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    id: _RowId
    parent_id: _RowId | None
    created_at: datetime
    role: Role
    content: str
    reasoning: str = ""
    tool_calls: tuple[_CallEntry, ...] = ()
    call: _ResultEntry | None = None
    mode_tag: ThinkingMode | None = None
    meta: MessageMeta = MessageMeta()
    token_ids: tuple[_TokenId, ...] = ()


class _Header(msgspec.Struct, frozen=True):
    format: str
    version: Annotated[int, msgspec.Meta(ge=1)]


class _File(msgspec.Struct, frozen=True):
    chat: _ChatEntry
    messages: tuple[_MessageEntry, ...]


def render_json(
    chat: Chat, messages: Sequence[StoredMessage], thinking: ThinkingStyle, zone: tzinfo | None
) -> str:
    """Return the chat with messages of one branch or all as JSON; times are UTC, whatever the zone."""
    del zone
    head_id = messages[-1].id if messages else None
    if any(stored.id == chat.head_id for stored in messages):
        head_id = chat.head_id
    entry = _ChatEntry(
        id=chat.id,
        title=chat.title,
        created_at=chat.created_at,
        updated_at=chat.updated_at,
        head_id=head_id,
        system=chat.system,
        toggle=chat.mode_override,
    )
    with_thinking = thinking is not ThinkingStyle.NONE
    lines = ",\n".join(f"    {_line(entry)}" for entry in _message_entries(messages, with_thinking))
    return (
        f'{{\n  "format": "{FORMAT_NAME}",\n  "version": {FORMAT_VERSION},\n  "chat": {_line(entry)},\n'
        f'  "messages": [\n{lines}\n  ]\n}}\n'
    )


def parse_json_export(text: str) -> WholeChat:
    """Return the chat and the messages of a text that `render_json` made.

    Raises:
        ExportError: it is no such text, or has a newer version of the format.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ExportError(ErrorCode.EXPORT_UNREADABLE, reason=error) from error
    return read_json_export(document)


def read_json_export(document: object) -> WholeChat:
    """Return the chat and the messages of an export that is parsed already.

    Raises:
        ExportError: it is no export, or has a newer version of the format.
    """
    try:
        header = msgspec.convert(document, _Header)
        if header.format != FORMAT_NAME:
            raise ExportError(ErrorCode.EXPORT_UNREADABLE, reason=header.format)
        if header.version > FORMAT_VERSION:
            raise ExportError(ErrorCode.EXPORT_NEWER, version=header.version, known=FORMAT_VERSION)
        file = msgspec.convert(document, _File)
    except (ValueError, RecursionError, OverflowError) as error:
        raise ExportError(ErrorCode.EXPORT_UNREADABLE, reason=error) from error
    chat = file.chat
    return WholeChat(
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


def _message_entries(messages: Sequence[StoredMessage], with_thinking: bool) -> Iterator[_MessageEntry]:
    reply_ids = dict[int | None, int]()  # of each message: the reply whose calls and results it may belong to
    for stored in messages:
        is_reply = stored.message.role is Role.ASSISTANT
        reply_ids[stored.id] = stored.id if is_reply else reply_ids.get(stored.parent_id, 0)
        yield _message_entry(stored, reply_ids[stored.id], with_thinking)


def _message_entry(stored: StoredMessage, reply_id: int, with_thinking: bool) -> _MessageEntry:
    message, call = stored.message, stored.meta.call
    return _MessageEntry(
        id=stored.id,
        parent_id=stored.parent_id,
        created_at=stored.created_at,
        role=message.role,
        content=message.content,
        reasoning=message.reasoning if with_thinking else "",
        tool_calls=tuple(
            _CallEntry(**msgspec.structs.asdict(written), id=f"{reply_id}.{index}")
            for index, written in enumerate(message.tool_calls)
        ),
        call=_result_entry(call, reply_id) if call else None,
        mode_tag=message.mode_tag,
        meta=replace(stored.meta, call=None),
        token_ids=stored.token_ids if with_thinking else (),  # the ids spell the thinking
    )


def _result_entry(call: CallRecord, reply_id: int) -> _ResultEntry:
    return _ResultEntry(
        id=f"{reply_id}.{call.index}",
        name=call.name,
        arguments=call.arguments,
        decision=call.decision,
        is_error=call.is_error,
        elapsed_s=call.elapsed_s,
        is_repaired=call.is_repaired,
        whole=_WholeEntry(**msgspec.structs.asdict(call.whole)) if call.whole else None,
    )


def _call_record(entry: _ResultEntry) -> CallRecord:
    return CallRecord(
        index=int(entry.id.rpartition(".")[2]),
        name=entry.name,
        arguments=entry.arguments,
        decision=entry.decision,
        is_error=entry.is_error,
        is_repaired=entry.is_repaired,
        elapsed_s=entry.elapsed_s,
        whole=WholeResult(**msgspec.structs.asdict(entry.whole)) if entry.whole else None,
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
            tool_calls=tuple(
                ToolCall(call.name, call.arguments, call.is_repaired, call.values_are_text)
                for call in entry.tool_calls
            ),
            mode_tag=entry.mode_tag,
        ),
        meta=replace(entry.meta, call=_call_record(entry.call)) if entry.call else entry.meta,
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
