"""`qwen3-chat chats`, `export` and `import`: the stored chats listed, written to files, read from files."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import msgspec
from rich.cells import cell_len, set_cell_size

from qwen3_chat.cli.composition import resolve_chat_id
from qwen3_chat.cli.json_output import print_json, use_utf8_for_output
from qwen3_chat.cli.terminal_lines import terminal_columns
from qwen3_chat.config import find_paths
from qwen3_chat.documents.export import render
from qwen3_chat.documents.export_file_name import default_file_name
from qwen3_chat.documents.export_options import ExportFormat, ThinkingStyle
from qwen3_chat.documents.new_file import write_new_file
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ExportError, UsageError
from qwen3_chat.store import ChatStore, ChatSummary
from qwen3_chat.store.chat_store import utc_now
from qwen3_chat.store.records import WholeChat
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import format_message_count
from qwen3_chat.texts.terminal_safe import terminal_safe

TITLE_CELLS, MIN_TITLE_CELLS = 48, 12
ALL_CHATS = "all"
_GAP_CELLS = 2
_ALL_CHATS_FILE = "qwen3-chat.jsonl"


class SkippedRow(msgspec.Struct, frozen=True):
    """A chat of a file that was not imported, in the output of `import --json`."""

    index: int
    reason: str


class ImportResult(msgspec.Struct, frozen=True):
    """The output of `import --json`."""

    chat_ids: list[int]
    skipped: list[SkippedRow]


def list_chats(search: str | None, as_json: bool) -> None:
    """Print the chats, newest first."""
    summaries = asyncio.run(_load_chats(search))
    if as_json:
        print_json(summaries)
        return
    if not summaries:
        print(t("cli.no_chats_found") if search else t("cli.no_chats"), file=sys.stderr)
        return
    for line in _rows(summaries, terminal_columns()):
        print(line)


def _rows(summaries: Sequence[ChatSummary], columns: int | None) -> Iterator[str]:
    """Yield a line for each chat; its title has what a terminal of so many columns leaves of its room."""
    id_cells = max(len(str(summary.id)) for summary in summaries)
    ends = [_end_of_row(summary) for summary in summaries]
    room = TITLE_CELLS if columns is None else columns - id_cells - _GAP_CELLS - max(map(cell_len, ends))
    title_cells = min(max(room, MIN_TITLE_CELLS), TITLE_CELLS)
    for summary, end in zip(summaries, ends, strict=True):
        title = terminal_safe(summary.title) or t("ui.untitled")
        if cell_len(title) > title_cells:
            title = set_cell_size(title, title_cells - 1).rstrip() + "…"
        yield f"{summary.id:>{id_cells}}{'':{_GAP_CELLS}}{set_cell_size(title, title_cells)}{end}"


def _end_of_row(summary: ChatSummary) -> str:
    updated = datetime.fromtimestamp(summary.updated_at.timestamp()).strftime("%Y-%m-%d %H:%M")
    return f"{'':{_GAP_CELLS}}{updated}{'':{_GAP_CELLS}}{format_message_count(summary.message_count)}"


async def _load_chats(search: str | None) -> tuple[ChatSummary, ...]:
    async with open_store() as store:
        return await store.chats(search=search)


@asynccontextmanager
async def open_store() -> AsyncIterator[ChatStore]:
    """Open the chats, for reading where nothing else is possible; print what there is to tell of the file."""
    store = await ChatStore.open(find_paths().chats_file)
    try:
        yield store
    finally:
        await store.close()
        for notice in store.take_notices():
            print(terminal_safe(notice), file=sys.stderr)


def export_chat(reference: str, format_name: str, thinking_name: str, output: Path | None) -> None:
    """Write a chat, or all, to stdout or to new files, which never replace others.

    Raises:
        UsageError: the format or the choice of thinking is unknown, or all chats need a folder.
        StoreError: there is no such chat.
        ExportError: a file can't be written, or there is nothing to write.
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
    if reference == ALL_CHATS and format is not ExportFormat.JSON_LINES:
        _export_all_to_folder(format, thinking, output)
        return
    chats = asyncio.run(_load_chats_with_messages(reference, format))
    text = "".join(render(whole.chat, whole.messages, format, thinking) for whole in chats)
    if format is ExportFormat.JSON_LINES and not text:
        raise ExportError(ErrorCode.EXPORT_WITHOUT_ANSWERS)
    if output is None:
        use_utf8_for_output()
        sys.stdout.write(text)
        return
    default_name = _ALL_CHATS_FILE if reference == ALL_CHATS else default_file_name(chats[0].chat, format)
    _print_path(write_new_file(output, text, default_name))


def _export_all_to_folder(format: ExportFormat, thinking: ThinkingStyle, folder: Path | None) -> None:
    """Write each chat to a file of its own."""
    if folder is None or not folder.is_dir():
        raise UsageError(ErrorCode.EXPORT_NEEDS_FOLDER)
    for whole in asyncio.run(_load_chats_with_messages(ALL_CHATS, format)):
        text = render(whole.chat, whole.messages, format, thinking)
        _print_path(write_new_file(folder, text, default_file_name(whole.chat, format)))


def _print_path(path: Path) -> None:
    print(terminal_safe(t("cli.exported", path=path)), file=sys.stderr)


async def _load_chats_with_messages(reference: str, format: ExportFormat) -> list[WholeChat]:
    """Return a chat, or all of them, with the branch that each goes on from; for JSON with all branches."""
    async with open_store() as store:
        if reference == ALL_CHATS:
            chat_ids = [summary.id for summary in await store.chats()]
        else:
            chat_ids = [await resolve_chat_id(store, reference)]
        if format is ExportFormat.JSON:
            return [await store.whole_chat(chat_id) for chat_id in chat_ids]
        return [WholeChat(await store.chat(chat_id), await store.branch(chat_id)) for chat_id in chat_ids]


def import_file(path: Path, *, as_json: bool) -> None:
    """Store the chats of a file, all or none, and print their numbers.

    Raises:
        ChatImportError: the file can't be read, or no chat in it can be imported.
        ExportError: the same, for a chat that this app exported.
        StoreError: nothing can be stored.
    """
    from qwen3_chat.documents.chat_import import read_chat_file  # here: the lists of chats do without

    contents = read_chat_file(path, utc_now())
    chat_ids = asyncio.run(_import_chats(contents.chats))
    if as_json:
        rows = [SkippedRow(skipped.index, str(skipped.reason)) for skipped in contents.skipped]
        print_json(ImportResult(chat_ids, rows))
        return
    numbers = str(chat_ids[0]) if len(chat_ids) == 1 else f"{min(chat_ids)}–{max(chat_ids)}"
    print(t("cli.imported", count=len(chat_ids), numbers=numbers))
    for skipped in contents.skipped:
        sentence = t("cli.import_skipped", number=skipped.index + 1, reason=skipped.reason)
        print(terminal_safe(sentence), file=sys.stderr)


async def _import_chats(chats: Sequence[WholeChat]) -> list[int]:
    async with open_store() as store:
        return list(await store.import_chats(chats))
