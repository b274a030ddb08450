"""Chats of a file: our own JSON, lists of messages, ChatGPT's export as JSON or zip. Nothing in it is run.

Every size is limited before it is used; whatever is wrong is one error with a sentence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from qwen3_chat.documents.chatgpt_export import read_chatgpt_conversation
from qwen3_chat.documents.json_export import FORMAT_NAME, read_json_export
from qwen3_chat.documents.message_lists import read_message_list
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ChatImportError, ExportError
from qwen3_chat.store.import_queries import check_importable
from qwen3_chat.store.records import WholeChat
from qwen3_chat.texts.formatting import MIB, format_size
from qwen3_chat.untrusted_zip import ZIP_BEGINNING, ZIP_ERRORS, TooManyEntriesError, open_zip

MAX_IMPORT_BYTES: Final = 512 * MIB
"""The most JSON that is read, of a file or of an entry of a zip."""
MAX_VALUES: Final = 32_000_000
"""The most values of a file, by its brackets and commas: they take some 2 GB then."""
MAX_CHATS: Final = 100_000
MAX_MESSAGES: Final = 1_000_000
MAX_ZIP_ENTRIES: Final = 200_000
"""The most entries of a zip; ChatGPT's has one for each picture."""
MAX_CHATGPT_FILES: Final = 1_000
_CONVERSATIONS: Final = re.compile(r"(?:[^/]{1,100}/)?conversations(?:-[0-9]{1,4})?\.json")
_LINES_SUFFIXES: Final = {".jsonl", ".ndjson"}


@dataclass(frozen=True, slots=True)
class SkippedChat:
    """A conversation of a file that can't be imported: its position from 0 on, and why."""

    index: int
    reason: ChatImportError | ExportError


@dataclass(frozen=True, slots=True)
class ChatFileContents:
    """The chats of a file that can be imported, and the others."""

    chats: tuple[WholeChat, ...]
    skipped: tuple[SkippedChat, ...]


def read_chat_file(path: Path, now: datetime) -> ChatFileContents:
    """Read the chats of a file; `now` is the time of what has none.

    Raises:
        ChatImportError: the file can't be read, is of no known form, or no chat in it can be imported.
        ExportError: the same, for a chat that this app exported.
    """
    chats, skipped, n_messages = list[WholeChat](), list[SkippedChat](), 0
    for index, conversation in enumerate(_conversations(path)):
        if index >= MAX_CHATS:
            raise ChatImportError(ErrorCode.IMPORT_TOO_MANY_CHATS, limit=f"{MAX_CHATS:,}")
        try:
            chat = check_importable(_read_conversation(conversation, now))
        except (ChatImportError, ExportError) as error:
            skipped.append(SkippedChat(index, error))
            continue
        n_messages += len(chat.messages)
        if n_messages > MAX_MESSAGES:
            raise ChatImportError(ErrorCode.IMPORT_TOO_MANY_MESSAGES, limit=f"{MAX_MESSAGES:,}")
        chats.append(chat)
    if chats:
        return ChatFileContents(tuple(chats), tuple(skipped))
    if len(skipped) == 1:
        raise skipped[0].reason
    if skipped:
        raise ChatImportError(ErrorCode.IMPORT_ALL_SKIPPED, count=len(skipped), reason=skipped[0].reason)
    raise ChatImportError(ErrorCode.IMPORT_FILE_WITHOUT_CHATS, path=path)


def _read_conversation(conversation: Any, now: datetime) -> WholeChat:
    match conversation:
        case {"format": str(name)} if name == FORMAT_NAME:
            return read_json_export(conversation)
        case {"mapping": dict()}:
            return read_chatgpt_conversation(conversation, now)
        case {"messages": list(messages)} | {"conversations": list(messages)} | {"items": list(messages)}:
            return read_message_list(
                messages, _text(conversation, "title"), _text(conversation, "system"), now
            )
        case list() if is_message_list(conversation):
            return read_message_list(conversation, "", "", now)
        case _:
            raise ChatImportError(ErrorCode.IMPORT_FORM_UNKNOWN)


def is_message_list(value: Sequence[Any]) -> bool:
    """Return whether a list holds messages, and not conversations."""
    return bool(value) and isinstance(value[0], dict) and bool({"role", "from"} & value[0].keys())


def _text(conversation: dict[str, Any], name: str) -> str:
    value = conversation.get(name)
    return value if isinstance(value, str) else ""


def _conversations(path: Path) -> Iterator[object]:
    """Yield the conversations of a file as parsed JSON."""
    try:
        with path.open("rb") as file:
            is_zip = file.read(len(ZIP_BEGINNING)) == ZIP_BEGINNING
            file.seek(0)
            if is_zip:
                yield from _zipped_conversations(file, path)
            else:
                yield from _split(_parse(_read_limited(file, path, MAX_IMPORT_BYTES), path))
    except OSError as error:
        raise ChatImportError(
            ErrorCode.IMPORT_FILE_UNREADABLE, path=path, reason=error.strerror or error
        ) from error


def _zipped_conversations(file: BinaryIO, path: Path) -> Iterator[object]:
    try:
        with open_zip(file, MAX_ZIP_ENTRIES) as archive:
            names = sorted(name for name in archive.namelist() if _CONVERSATIONS.fullmatch(name))
            if not names:
                raise ChatImportError(ErrorCode.IMPORT_ZIP_WITHOUT_CHATS, path=path)
            remaining = MAX_IMPORT_BYTES
            for name in names[:MAX_CHATGPT_FILES]:
                with archive.open(name) as entry:
                    content = _read_limited(entry, path, remaining)
                remaining -= len(content)
                yield from _split(_parse(content, path))
    except TooManyEntriesError as error:
        limit = f"{MAX_ZIP_ENTRIES:,}"
        raise ChatImportError(ErrorCode.IMPORT_TOO_MANY_ENTRIES, path=path, limit=limit) from error
    except ZIP_ERRORS as error:
        raise ChatImportError(ErrorCode.IMPORT_ZIP_DAMAGED, path=path, reason=error) from error


def _read_limited(file: Any, path: Path, limit: int) -> bytes:
    """Return the rest of a file, whatever size it claims to have."""
    content: bytes = file.read(limit + 1)
    if len(content) > limit:
        raise ChatImportError(ErrorCode.IMPORT_TOO_LARGE, path=path, limit=format_size(MAX_IMPORT_BYTES))
    return content


def _parse(content: bytes, path: Path) -> object:
    """Parse JSON, or JSON Lines, which become a list."""
    if sum(map(content.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise ChatImportError(ErrorCode.IMPORT_TOO_LARGE, path=path, limit=format_size(MAX_IMPORT_BYTES))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ChatImportError(ErrorCode.IMPORT_NOT_JSON, path=path, reason=error) from error
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ChatImportError(ErrorCode.IMPORT_NOT_JSON, path=path, reason=error) from error
    except ValueError as error:
        lines = [line for line in text.split("\n") if line.strip()]
        has_lines = path.suffix.lower() in _LINES_SUFFIXES or str(error).startswith("Extra data")
        if len(lines) < 2 or not has_lines:
            raise ChatImportError(ErrorCode.IMPORT_NOT_JSON, path=path, reason=error) from error
    return _JsonLines(lines)


class _JsonLines(list[str]):
    """The lines of a file of JSON Lines, each a conversation of its own."""


def _split(document: object) -> Iterator[object]:
    """Yield the conversations of a parsed file."""
    match document:
        case _JsonLines():
            for line in document:
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError):
                    yield None  # is of no known form: it is skipped, and the others are not
        case list() if not is_message_list(document):
            yield from document
        case _:
            yield document
