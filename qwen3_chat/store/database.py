"""A SQLite file with a thread of its own, and SQLite's errors as sentences.

The file may be read-only, on a full disk, held by another program, deleted or replaced while it is open: what
can be read is read, and nothing is written where it would be lost.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import StoreError
from qwen3_chat.store.readable_copy import connect_for_reading
from qwen3_chat.store.stored_row import Damage, RowFactory
from qwen3_chat.texts import t

_P = ParamSpec("_P")
_T = TypeVar("_T")

OWNER_ONLY: Final = 0o600
"""The file mode of the database, its copies and drafts: only their owner may read them."""
_BUSY_TIMEOUT_S: Final = 5.0
_ERROR_CODES: Final = {
    sqlite3.SQLITE_FULL: ErrorCode.CHAT_DATABASE_DISK_FULL,
    sqlite3.SQLITE_NOTADB: ErrorCode.CHAT_DATABASE_INVALID,
    sqlite3.SQLITE_CORRUPT: ErrorCode.CHAT_DATABASE_DAMAGED,
    sqlite3.SQLITE_READONLY: ErrorCode.CHAT_DATABASE_NOT_WRITABLE,
    sqlite3.SQLITE_CANTOPEN: ErrorCode.CHAT_DATABASE_NOT_WRITABLE,
    sqlite3.SQLITE_PERM: ErrorCode.CHAT_DATABASE_NOT_WRITABLE,
    sqlite3.SQLITE_BUSY: ErrorCode.CHAT_DATABASE_BUSY,
    sqlite3.SQLITE_LOCKED: ErrorCode.CHAT_DATABASE_BUSY,
}
_READABLE_ANYWAY: Final = {
    ErrorCode.CHAT_DATABASE_DISK_FULL,
    ErrorCode.CHAT_DATABASE_NOT_WRITABLE,
    ErrorCode.CHAT_DATABASE_NOT_COPIED,
    ErrorCode.CHAT_DATABASE_BUSY,
    ErrorCode.CHAT_DATABASE_FAILED,
}
"""The errors of an opening after which the file may still be read."""
_FULL_DISK_BYTES: Final = 1 << 16
"""SQLite calls a disk without room for its sidecars an I/O error; with less than this free, it is full."""
_PRIMARY_CODE: Final = 0xFF  # the upper bits of a result code carry details beyond the sentence


class Database:
    """A SQLite file whose transactions run whole, one at a time, away from the event loop.

    A transaction is one plain function of the connection: nothing can come between its statements, and a task
    that is cancelled while it waits leaves the transaction to finish, so a submitted change reaches the file
    either way.
    """

    def __init__(self, path: Path) -> None:
        self.read_only_reason: StoreError | None = None
        """The reason why the file can only be read; each write tries to open it for writing again."""
        self.notices: list[str] = []
        """What the user should be told of the file and was not told yet."""
        self._damage = Damage()
        self._path = path
        self._identity: tuple[int, int] | None = None
        """The device and the number of the file that is open; None if that is not the file of the path."""
        self._prepare: Callable[[sqlite3.Connection, Path], None] = lambda connection, path: None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._connection: sqlite3.Connection | None = None
        self._is_closed = False

    async def open(
        self,
        prepare: Callable[[sqlite3.Connection, Path], None],
        prepare_copy: Callable[[sqlite3.Connection, Path], bool],
        *,
        even_without_file: bool = False,
    ) -> None:
        """Open or create the file, readable by its owner only; then let `prepare` bring it up to date.

        A file that can't be written is opened for reading: `prepare_copy` says whether it must be brought up
        to date in memory. `even_without_file` opens an empty database in memory where none can be created.

        Raises:
            StoreError: the file can't be used; nothing stays open.
        """
        try:
            await self._submit(self._open, prepare, prepare_copy, even_without_file)
        except BaseException:
            await self.close()
            raise

    async def read(
        self, function: Callable[Concatenate[sqlite3.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Run a function that sees one state of the database from its start to its end."""
        return await self._submit(
            self._transaction, "DEFERRED", lambda connection: function(connection, *args, **kwargs)
        )

    async def write(
        self, function: Callable[Concatenate[sqlite3.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Run a function whose changes are committed together or, if it raises, rolled back."""
        return await self._submit(self._write, lambda connection: function(connection, *args, **kwargs))

    async def close(self) -> None:
        """Close the file after all earlier calls are done."""
        if self._is_closed:
            return
        self._is_closed = True
        future = self._thread.submit(self._translate_errors, self._close)
        self._thread.shutdown(wait=False)
        await asyncio.shield(asyncio.wrap_future(future))

    async def _submit(self, job: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        if self._is_closed:
            raise StoreError(ErrorCode.CHAT_DATABASE_CLOSED)
        future = self._thread.submit(self._translate_errors, partial(job, *args, **kwargs))
        return await asyncio.shield(asyncio.wrap_future(future))

    def _translate_errors(self, job: Callable[[], _T]) -> _T:
        try:
            return job()
        except (sqlite3.Error, OSError) as error:
            raise _store_error(error, self._path) from error
        except (UnicodeDecodeError, OverflowError) as error:  # a name or a number that no app wrote
            raise StoreError(ErrorCode.CHAT_DATABASE_DAMAGED, path=self._path, reason=error) from error
        finally:
            self.notices += self._damage.take_sentences(self._path)

    def _open(
        self,
        prepare: Callable[[sqlite3.Connection, Path], None],
        prepare_copy: Callable[[sqlite3.Connection, Path], bool],
        even_without_file: bool,
    ) -> None:
        self._prepare = prepare
        try:
            self._translate_errors(self._open_for_writing)
        except StoreError as error:
            self._close()
            if error.code not in _READABLE_ANYWAY:
                raise
            try:
                self._connection = connect_for_reading(self._path, prepare_copy)
            except (sqlite3.Error, OSError):
                if not even_without_file or self._path.exists():
                    raise error from None
                self._connection = sqlite3.connect(":memory:", isolation_level=None)
                prepare_copy(self._connection, self._path)
            self._set_up(self._connection)
            self._connection.execute("PRAGMA query_only = ON")
            self.read_only_reason = error
            self.notices.append(t("store.read_only", reason=error))

    def _open_for_writing(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Created here for its mode, which SQLite gives to the sidecars too; a read-only file fails here.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, OWNER_ONLY))
        self._connection = _connect(self._path)
        self._set_up(self._connection)
        self._prepare(self._connection, self._path)
        self._identity = _identity(self._path)

    def _set_up(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = RowFactory(self._damage)
        # Bytes that are no UTF-8 become U+FFFD, and are counted as damage where they are read.
        connection.text_factory = self._damage.decode

    def _write(self, function: Callable[[sqlite3.Connection], _T]) -> _T:
        if self.read_only_reason is not None:
            self._reopen_for_writing(self.read_only_reason)
        elif self._connection is not None:
            self._follow_file()
        return self._transaction("IMMEDIATE", function)

    def _reopen_for_writing(self, reason: StoreError) -> None:
        """Open a file that could only be read, now that it may be written.

        Raises:
            StoreError: it still can't be.
        """
        readable, self._connection = self._connection, None
        try:
            self._translate_errors(self._open_for_writing)
        except StoreError as error:
            self._close()
            self._connection = readable
            raise error if error.code in _READABLE_ANYWAY else reason from None
        self.read_only_reason = None
        self.notices.append(t("store.writable_again", path=self._path))

    def _follow_file(self) -> None:
        """Save everything into a new file if the one that is open was deleted or replaced meanwhile.

        SQLite goes on in a deleted file, which ends with the process. Where another file has taken the place,
        the chats go on in a third one: numbers of chats and messages mean something else in another file.
        """
        if self._identity is None or self._connection is None:
            return
        try:
            now = _identity(self._path)
        except (FileNotFoundError, NotADirectoryError):
            now = None
        except OSError:
            return  # SQLite will say what is wrong
        if now == self._identity:
            return
        is_replaced = now is not None
        target = _free_name(self._path) if is_replaced else self._path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.{os.getpid()}.part")
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, OWNER_ONLY))
        try:
            copy = sqlite3.connect(part)
            try:
                self._connection.backup(copy)
            finally:
                copy.close()
            self._close()
            if not is_replaced:
                for suffix in ("-wal", "-shm"):  # left behind, they would be taken for those of the new file
                    with suppress(FileNotFoundError):
                        Path(f"{target}{suffix}").unlink()
            shutil.move(part, target)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
        key = "store.replaced" if is_replaced else "store.deleted"
        self.notices.append(t(key, path=self._path, copy=target))
        self._path = target
        self._open_for_writing()

    def _transaction(self, kind: str, function: Callable[[sqlite3.Connection], _T]) -> _T:
        if self._connection is None:
            raise StoreError(ErrorCode.CHAT_DATABASE_CLOSED)
        return in_transaction(self._connection, kind, function)

    def _close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _free_name(path: Path) -> Path:
    """Return the name of a file beside another one that does not exist yet."""
    number = 1
    while (name := path.with_name(f"{path.stem}-recovered-{number}.db")).exists():
        number += 1
    return name


def _is_disk_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < _FULL_DISK_BYTES
    except OSError:
        return False


def _connect(path: Path) -> sqlite3.Connection:
    """Open a file with manual transactions and a long lock timeout; nothing is read or changed yet."""
    return sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)


def configure_connection(connection: sqlite3.Connection, path: Path) -> None:
    """Make a file of this app private, its references checked, its commits cheap."""
    if os.name == "posix" and path.stat().st_mode & 0o777 != OWNER_ONLY:
        path.chmod(OWNER_ONLY)
    connection.execute("PRAGMA foreign_keys = ON")
    # Readers and the writer don't wait for each other, and a commit is safe from a killed app without a sync;
    # where the file system can't do that, SQLite keeps a journal that works there.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def in_transaction(
    connection: sqlite3.Connection, kind: str, function: Callable[[sqlite3.Connection], _T]
) -> _T:
    """Run a function between BEGIN IMMEDIATE and COMMIT, or BEGIN DEFERRED and ROLLBACK for one that reads.

    A function that raises is rolled back.
    """
    connection.execute(f"BEGIN {kind}")
    try:
        result = function(connection)
        # A COMMIT of nothing fails where a damaged page was met.
        connection.execute("COMMIT" if kind == "IMMEDIATE" else "ROLLBACK")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _store_error(error: sqlite3.Error | OSError, path: Path) -> StoreError:
    """Return the error whose sentence tells the user what is wrong with the file."""
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StoreError(ErrorCode.CHAT_DATABASE_DISK_FULL, path=path)
        return StoreError(ErrorCode.CHAT_DATABASE_NOT_WRITABLE, path=path, reason=error.strerror or error)
    sqlite_code = getattr(error, "sqlite_errorcode", None)
    if sqlite_code is None:
        return StoreError(ErrorCode.CHAT_DATABASE_FAILED, path=path, reason=error)
    code = _ERROR_CODES.get(sqlite_code & _PRIMARY_CODE, ErrorCode.CHAT_DATABASE_FAILED)
    if sqlite_code & _PRIMARY_CODE == sqlite3.SQLITE_IOERR and _is_disk_full(path):
        code = ErrorCode.CHAT_DATABASE_DISK_FULL
    return StoreError(code, path=path, reason=error)
