"""The store of chats in one database file, for asyncio code."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, Self

from qwen3_chat.chat import ChatMessage, ThinkingMode
from qwen3_chat.errors import StoreError
from qwen3_chat.store import (
    chat_queries,
    comparison_queries,
    import_queries,
    message_queries,
    search_queries,
)
from qwen3_chat.store.chat_folders import ChatFolders
from qwen3_chat.store.database import OWNER_ONLY, Database, in_transaction
from qwen3_chat.store.migrations import MIGRATIONS, Migration, prepare_copy, upgrade_schema
from qwen3_chat.store.records import (
    NO_CHAT_OPTIONS,
    Chat,
    ChatOptions,
    ChatSummary,
    Comparison,
    Deletion,
    Entrant,
    MessageMeta,
    SearchHit,
    SearchOrder,
    Sibling,
    StoredMessage,
    TitledBy,
    VoteOutcome,
    WholeChat,
    WholeResult,
)
from qwen3_chat.store.result_files import ResultFiles
from qwen3_chat.store.row_mapping import milliseconds

Clock = Callable[[], datetime]
_NO_META = MessageMeta()
RESULTS_FOLDER: Final = "results"
"""The folder of whole results, beside the database."""
FILES_FOLDER: Final = "chat_files"
"""The folder of the files that tools write in chats, beside the database."""


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


class ChatStore:
    """The store of chats; each has a tree of messages and a head, the message to continue from.

    Every change is one transaction. The caller names the parent of a new message, so two apps on one file
    never overwrite each other's turns: their turns become branches. All methods raise StoreError where the
    file can't be read or written, or where no chat or message has the given id.
    """

    def __init__(self, database: Database, clock: Clock, results: ResultFiles, folders: ChatFolders) -> None:
        self.on_chat_deleted: Callable[[int], None] = lambda chat_id: None
        """A callback for each chat that is deleted here, so that data kept elsewhere goes too."""
        self._database = database
        self._clock = clock
        self._results = results
        self._folders = folders
        self._results_lock = asyncio.Lock()  # what one result takes counts for the next

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        clock: Clock = utc_now,
        migrations: Sequence[Migration] = MIGRATIONS,
        even_without_file: bool = False,
    ) -> Self:
        """Open a database; create it if it is missing, upgrade it if its schema is older.

        One that can't be written is opened for reading, and a notice says so; with `even_without_file` an
        empty one in memory takes the place of one that can't be created.
        """
        database = Database(path)
        await database.open(
            partial(_prepare, migrations=migrations, now=clock()),
            partial(prepare_copy, migrations=migrations),
            even_without_file=even_without_file,
        )
        results, folders = (
            ResultFiles(path.parent / RESULTS_FOLDER),
            ChatFolders(path.parent / FILES_FOLDER),
        )
        return cls(database, clock, results, folders)

    @property
    def read_only_reason(self) -> StoreError | None:
        """The reason why the chats can only be read at the moment; None where they can be written."""
        return self._database.read_only_reason

    def take_notices(self) -> tuple[str, ...]:
        """Return what the user should be told of the file, each sentence once."""
        notices, self._database.notices = tuple(self._database.notices), []
        return notices

    async def close(self) -> None:
        """Close the file after all earlier calls are written."""
        await self._database.close()

    async def create_chat(
        self,
        *,
        system: str = "",
        mode_override: ThinkingMode | None = None,
        options: ChatOptions = NO_CHAT_OPTIONS,
    ) -> Chat:
        """Create a chat without messages."""
        return await self._database.write(
            chat_queries.create_chat, self._now(), system, mode_override, options
        )

    async def chat(self, chat_id: int) -> Chat:
        """Return a chat; a deleted chat too, until it is purged."""
        return await self._database.read(chat_queries.get_chat, chat_id)

    async def latest_chat(self) -> Chat | None:
        """Return the chat that was last written to; None where there is none."""
        return await self._database.read(chat_queries.latest_chat)

    async def chats(self, search: str | None = None, limit: int | None = None) -> tuple[ChatSummary, ...]:
        """Return the chats that match `search`, or all: pinned chats first, then newest first."""
        return await self._database.read(chat_queries.chat_summaries, search, limit)

    async def find(
        self, query: str, *, order: SearchOrder = SearchOrder.NEWEST, limit: int = 100
    ) -> tuple[SearchHit, ...]:
        """Return the messages that contain every word of a query; quotes keep words together."""
        return await self._database.read(search_queries.search_messages, query, order, limit)

    async def branch(self, chat_id: int, head_id: int | None = None) -> tuple[StoredMessage, ...]:
        """Return the messages from the first to `head_id`, or to the chat's head."""
        return await self._database.read(message_queries.branch, chat_id, head_id)

    async def whole_chat(self, chat_id: int) -> WholeChat:
        """Return a chat with the messages of all its branches."""
        return await self._database.read(_whole_chat, chat_id)

    async def copy_branch(self, chat_id: int, head_id: int) -> int:
        """Copy a chat with its messages up to one of them into a new chat; return its number."""
        return await self._database.write(import_queries.copy_branch, self._now(), chat_id, head_id)

    async def copy_to(self, path: Path) -> None:
        """Copy the database, as it is at one moment, into a new file of its own."""
        await self._database.read(_copy_to, path)

    async def import_chats(self, chats: Sequence[WholeChat]) -> tuple[int, ...]:
        """Store chats of other databases under new numbers, all or none; return the numbers, in order.

        Raises:
            StoreError: nothing could be stored, or a chat is none that this app could have written.
        """
        return await self._database.write(import_queries.import_chats, self._now(), chats, self._results.has)

    async def message(self, message_id: int) -> StoredMessage:
        """Return a message."""
        return await self._database.read(message_queries.get_message, message_id)

    async def latest_questions(self, limit: int = 200) -> tuple[str, ...]:
        """Return the latest questions of all chats, oldest first."""
        return await self._database.read(message_queries.latest_questions, limit)

    async def children(self, chat_id: int, parent_id: int | None) -> tuple[StoredMessage, ...]:
        """Return the messages directly below a message, oldest first; the chat's first messages for None."""
        return await self._database.read(message_queries.children, chat_id, parent_id)

    async def siblings(self, message_id: int) -> tuple[StoredMessage, ...]:
        """Return the messages below the same parent, the message itself among them, oldest first."""
        return await self._database.read(message_queries.siblings, message_id)

    async def newest_leaf(self, chat_id: int, message_id: int) -> int:
        """Return the last message of the newest branch below a message."""
        return await self._database.read(message_queries.newest_leaf, chat_id, message_id)

    async def forks(self, chat_id: int) -> tuple[Sibling, ...]:
        """Return the messages at a chat's forks and the answers to questions there, oldest first."""
        return await self._database.read(message_queries.forks, chat_id)

    async def delete_messages(
        self, chat_id: int, message_ids: Sequence[int], head_id: int | None
    ) -> Deletion:
        """Mark messages and all below them as deleted; the chat's head becomes `head_id`."""
        return await self._database.write(
            message_queries.delete_messages, self._now(), chat_id, message_ids, head_id
        )

    async def restore_messages(self, deletion: Deletion) -> None:
        """Restore deleted messages and the head that the chat had."""
        await self._database.write(message_queries.restore_messages, deletion)

    async def add_message(
        self, chat_id: int, parent_id: int | None, message: ChatMessage, meta: MessageMeta = _NO_META
    ) -> StoredMessage:
        """Add a message below `parent_id` and make it the chat's head.

        The first question becomes the chat's title. A reply is added before it is generated: empty, without a
        stop reason.
        """
        return await self._database.write(
            message_queries.add_message, self._now(), chat_id, parent_id, message, meta
        )

    async def save_partial(self, message_id: int, content: str, reasoning: str) -> None:
        """Save the part of a reply that has arrived so far."""
        await self._database.write(message_queries.save_partial, message_id, content, reasoning)

    async def reopen_message(self, message_id: int) -> None:
        """Mark a reply as unfinished: `save_partial` changes it until it is finished again."""
        await self._database.write(message_queries.reopen_message, message_id)

    async def finish_message(
        self, message_id: int, message: ChatMessage, meta: MessageMeta, token_ids: tuple[int, ...] = ()
    ) -> StoredMessage:
        """Store a reply as it ended, with its sampled token ids, and make it searchable."""
        return await self._database.write(
            message_queries.finish_message, self._now(), message_id, message, meta, token_ids
        )

    async def save_result(self, chat_id: int, text: str) -> WholeResult:
        """Save a result that is too long for the model in a file; where that fails, return why."""
        async with self._results_lock:
            try:
                saved_bytes = await self._database.read(message_queries.saved_bytes, chat_id)
            except StoreError:
                saved_bytes = 0
            return await asyncio.to_thread(self._results.save, text, saved_bytes)

    def result_path(self, result: WholeResult) -> Path | None:
        """Return the file of a whole result; None for one that was not saved."""
        return self._results.path(result)

    def files_path(self, chat_id: int) -> Path:
        """Return the folder of the files that tools write in a chat; it may not exist."""
        return self._folders.path(chat_id)

    def chat_folder(self, chat_id: int) -> Path:
        """Return the folder for the files that tools write in a chat, made if need be; this blocks.

        Raises:
            OSError: it can't be made, or the chat is not in a file, so that its id may be another one's.
        """
        if self.read_only_reason is not None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return self._folders.make(chat_id)

    async def set_head(self, chat_id: int, message_id: int | None) -> None:
        """Set the head of a chat to one of its messages; None is before the first message."""
        await self._database.write(message_queries.move_head, chat_id, message_id)

    async def set_mode_override(self, chat_id: int, mode_override: ThinkingMode | None) -> None:
        """Store the mode that the user last switched to."""
        await self._database.write(chat_queries.set_mode_override, chat_id, mode_override)

    async def set_title(self, chat_id: int, title: str, by: TitledBy = TitledBy.USER) -> bool:
        """Set the title of a chat and return True, unless `by` is not the user and the user has named it."""
        return await self._database.write(chat_queries.set_title, chat_id, title, by)

    async def set_options(self, chat_id: int, options: ChatOptions) -> None:
        """Set the generation options of a chat."""
        await self._database.write(chat_queries.set_options, chat_id, options)

    async def set_system(self, chat_id: int, system: str) -> None:
        """Set the system prompt of a chat; empty for none."""
        await self._database.write(chat_queries.set_system, chat_id, system)

    async def set_pinned(self, chat_id: int, pinned: bool) -> None:
        """Pin a chat to the top of the list, or unpin it."""
        await self._database.write(chat_queries.set_pinned, chat_id, pinned)

    async def set_draft(self, chat_id: int, draft: str) -> None:
        """Store the draft of a chat's next message."""
        await self._database.write(chat_queries.set_draft, chat_id, draft)

    async def begin_comparison(
        self, chat_id: int, question_id: int, entrants: Sequence[Entrant]
    ) -> Comparison:
        """Add a comparison of the answers to a question, in the order in which they will be shown."""
        return await self._database.write(
            comparison_queries.begin_comparison, self._now(), chat_id, question_id, entrants
        )

    async def set_compared_answer(self, comparison_id: int, position: int, message_id: int) -> None:
        """Set the message that an entrant answers with."""
        await self._database.write(
            comparison_queries.set_compared_answer, comparison_id, position, message_id
        )

    async def end_comparison(
        self, comparison_id: int, verdict: VoteOutcome, winner: int | None = None
    ) -> Comparison:
        """Store a vote; a comparison that has one keeps it. Return the comparison as it is now."""
        return await self._database.write(comparison_queries.end_comparison, comparison_id, verdict, winner)

    async def comparison(self, comparison_id: int) -> Comparison:
        """Return a comparison with its answers."""
        return await self._database.read(comparison_queries.get_comparison, comparison_id)

    async def open_comparisons(self, chat_id: int) -> tuple[Comparison, ...]:
        """Return the comparisons in a chat that have no vote yet, oldest first."""
        return await self._database.read(comparison_queries.open_comparisons, chat_id)

    async def votes(self) -> tuple[Comparison, ...]:
        """Return all comparisons that were voted about, oldest first, without their answers."""
        return await self._database.read(comparison_queries.votes)

    async def latest_entrants(self) -> tuple[Entrant, ...]:
        """Return the entrants of the latest comparison; empty if there was none."""
        return await self._database.read(comparison_queries.latest_entrants)

    async def delete_chat(self, chat_id: int) -> None:
        """Mark a chat as deleted; `restore_chat` restores it until it is purged."""
        await self._database.write(chat_queries.set_deleted, chat_id, self._now())
        self.on_chat_deleted(chat_id)

    async def restore_chat(self, chat_id: int) -> None:
        """Restore a deleted chat."""
        await self._database.write(chat_queries.set_deleted, chat_id, None)

    async def purge_deleted(self, older_than: timedelta) -> int:
        """Remove permanently what was deleted longer ago than this; return the number of removed chats.

        The folders of files that tools wrote go with their chats, the files of whole results with the last
        message that has them. One that no message has yet is safe until it is as old: another window may be
        about to store the message.
        """
        moment = self._clock() - older_than
        count = await self._database.write(chat_queries.purge_deleted, milliseconds(moment))
        if names := await asyncio.to_thread(self._results.written_before, moment):
            with suppress(StoreError):  # without knowing what messages have, nothing is removed
                orphans = names - await self._database.read(message_queries.saved_hashes)
                await asyncio.to_thread(self._results.remove, orphans, moment)
        if self.read_only_reason is not None:
            return count  # chats in memory have ids of their own
        if chat_ids := await asyncio.to_thread(self._folders.chat_ids):
            with suppress(StoreError):
                orphaned_ids = chat_ids - await self._database.read(chat_queries.chat_ids)
                await asyncio.to_thread(self._folders.remove, orphaned_ids)
        return count

    def _now(self) -> int:
        return milliseconds(self._clock())


def _copy_to(connection: sqlite3.Connection, path: Path) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, OWNER_ONLY))
    with closing(sqlite3.connect(path, isolation_level=None)) as copy:
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # the copy has no log beside it


def _whole_chat(connection: sqlite3.Connection, chat_id: int) -> WholeChat:
    return WholeChat(
        chat_queries.get_chat(connection, chat_id), message_queries.all_messages(connection, chat_id)
    )


def _prepare(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration], now: datetime
) -> None:
    upgrade_schema(connection, path, migrations, now)
    in_transaction(connection, "IMMEDIATE", message_queries.index_unfinished)
