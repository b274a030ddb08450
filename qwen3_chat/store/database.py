"""A SQLite file with a thread of its own, and SQLite's errors as sentences."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import StoreError

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
_PRIMARY_CODE: Final = 0xFF  # the upper bits of a result code carry details beyond the sentence


class Database:
    """A SQLite file whose transactions run whole, one at a time, away from the event loop.

    A transaction is one plain function of the connection: nothing can come between its statements, and a task
    that is cancelled while it waits leaves the transaction to finish, so a submitted change reaches the file
    either way.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._connection: sqlite3.Connection | None = None
        self._is_closed = False

    async def open(self, prepare: Callable[[sqlite3.Connection, Path], None]) -> None:
        """Open or create the file, readable by its owner only; then let `prepare` bring it up to date.

        Raises:
            StoreError: the file can't be used; nothing stays open.
        """
        try:
            await self._submit(self._open, prepare)
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
        return await self._submit(
            self._transaction, "IMMEDIATE", lambda connection: function(connection, *args, **kwargs)
        )

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

    def _open(self, prepare: Callable[[sqlite3.Connection, Path], None]) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Created here for its mode, which SQLite gives to the sidecars too; a read-only file fails here.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, OWNER_ONLY))
        self._connection = _connect(self._path)
        prepare(self._connection, self._path)

    def _transaction(self, kind: str, function: Callable[[sqlite3.Connection], _T]) -> _T:
        if self._connection is None:
            raise StoreError(ErrorCode.CHAT_DATABASE_CLOSED)
        return in_transaction(self._connection, kind, function)

    def _close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    """Open a file with manual transactions and a long lock timeout; nothing is read or changed yet."""
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


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
    """Run a function between BEGIN DEFERRED or BEGIN IMMEDIATE and COMMIT, or ROLLBACK where it raises."""
    connection.execute(f"BEGIN {kind}")
    try:
        result = function(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _store_error(error: sqlite3.Error | OSError, path: Path) -> StoreError:
    """Return the error whose sentence tells the user what is wrong with the file."""
    if isinstance(error, OSError):
        return StoreError(ErrorCode.CHAT_DATABASE_NOT_WRITABLE, path=path, reason=error.strerror or error)
    sqlite_code = getattr(error, "sqlite_errorcode", None)
    if sqlite_code is None:
        return StoreError(ErrorCode.CHAT_DATABASE_FAILED, path=path, reason=error)
    code = _ERROR_CODES.get(sqlite_code & _PRIMARY_CODE, ErrorCode.CHAT_DATABASE_FAILED)
    return StoreError(code, path=path, reason=error)
