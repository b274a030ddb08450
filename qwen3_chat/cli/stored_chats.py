"""`qwen3-chat chats` and `qwen3-chat export`: the stored chats, listed or written to a file."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from rich.cells import cell_len, set_cell_size

from qwen3_chat.cli.composition import resolve_chat_id
from qwen3_chat.cli.json_output import print_json, use_utf8_for_output
from qwen3_chat.config import find_paths
from qwen3_chat.documents.export import render
from qwen3_chat.documents.export_file_name import default_file_name
from qwen3_chat.documents.export_options import ExportFormat, ThinkingStyle
from qwen3_chat.documents.new_file import write_new_file
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.store import Chat, ChatStore, ChatSummary, StoredMessage
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import terminal_safe

TITLE_CELLS = 48


def list_chats(search: str | None, as_json: bool) -> None:
    """Print the chats, newest first."""
    summaries = asyncio.run(_load_chats(search))
    if as_json:
        print_json(summaries)
        return
    if not summaries:
        print(t("cli.no_chats_found") if search else t("cli.no_chats"), file=sys.stderr)
        return
    width = max(len(str(summary.id)) for summary in summaries)
    for summary in summaries:
        print(_row(summary, width))


def _row(summary: ChatSummary, id_width: int) -> str:
    title = terminal_safe(summary.title) or t("ui.untitled")
    if cell_len(title) > TITLE_CELLS:
        title = set_cell_size(title, TITLE_CELLS - 1) + "…"
    updated = datetime.fromtimestamp(summary.updated_at.timestamp()).strftime("%Y-%m-%d %H:%M")
    count = t("cli.message_count", count=summary.message_count)
    return f"{summary.id:>{id_width}}  {set_cell_size(title, TITLE_CELLS)}  {updated}  {count}".rstrip()


async def _load_chats(search: str | None) -> tuple[ChatSummary, ...]:
    async with _open_store() as store:
        return await store.chats(search=search)


@asynccontextmanager
async def _open_store() -> AsyncIterator[ChatStore]:
    """Open the chats, for reading where nothing else is possible; print what there is to tell of the file."""
    store = await ChatStore.open(find_paths().chats_file)
    try:
        yield store
    finally:
        await store.close()
        for notice in store.take_notices():
            print(terminal_safe(notice), file=sys.stderr)


def export_chat(reference: str, format_name: str, thinking_name: str, output: Path | None) -> None:
    """Write a chat to stdout, or to a new file that never replaces another one.

    Raises:
        UsageError: the format or the choice of thinking is unknown.
        StoreError: there is no such chat.
        ExportError: the file can't be written.
    """
    try:
        format = ExportFormat(format_name)
    except ValueError as error:
        raise UsageError(
            ErrorCode.CHOICE_UNKNOWN, value=format_name, known=", ".join(ExportFormat)
        ) from error
    try:
        thinking = ThinkingStyle(thinking_name)
    except ValueError as error:
        raise UsageError(
            ErrorCode.CHOICE_UNKNOWN, value=thinking_name, known=", ".join(ThinkingStyle)
        ) from error
    chat, messages = asyncio.run(_load_chat(reference))
    text = render(chat, messages, format, thinking)
    if output is None:
        use_utf8_for_output()
        sys.stdout.write(text)
        return
    path = write_new_file(output, text, default_file_name(chat, format))
    print(terminal_safe(t("cli.exported", path=path)), file=sys.stderr)


async def _load_chat(reference: str) -> tuple[Chat, tuple[StoredMessage, ...]]:
    async with _open_store() as store:
        chat_id = await resolve_chat_id(store, reference)
        return await store.chat(chat_id), await store.branch(chat_id)
