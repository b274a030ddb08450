"""A database that can't be written, opened so that its chats can be read nevertheless."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

_MEMORY_FOLDER: Final = Path("/dev/shm")
"""A folder in memory, for the case that the disk of the temporary files is full as well."""


def connect_for_reading(
    path: Path, prepare_copy: Callable[[sqlite3.Connection, Path], bool]
) -> sqlite3.Connection:
    """Open a file for reading, or a copy of it in memory; `prepare_copy` tells whether it needs the latter.

    A database with a write-ahead log needs a file beside it even for reading. Where that can't be made, the
    database is copied with its log; without a log it is complete by itself and read as it is.

    Raises:
        OSError: the file can't be read.
        sqlite3.Error: it is no database, or damaged beyond reading.
    """
    errors: list[sqlite3.Error | OSError] = []
    for attempt in (_read_only, _copy_with_log, _immutable):
        try:
            connection = attempt(path)
        except (sqlite3.Error, OSError) as error:
            errors.append(error)
            continue
        try:
            if prepare_copy(connection, path):
                connection = _in_memory(connection)
                prepare_copy(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection
    raise errors[0]


def _read_only(path: Path) -> sqlite3.Connection:
    return _checked(sqlite3.connect(_uri(path, "mode=ro"), uri=True, isolation_level=None))


def _immutable(path: Path) -> sqlite3.Connection:
    """Open a file as if nobody could ever change it, without its log."""
    return _checked(sqlite3.connect(_uri(path, "immutable=1"), uri=True, isolation_level=None))


def _copy_with_log(path: Path) -> sqlite3.Connection:
    log = Path(f"{path}-wal")
    if not log.stat().st_size:
        raise FileNotFoundError(log)
    error: OSError = FileNotFoundError(path)
    for folder in _spare_folders():
        try:
            with tempfile.TemporaryDirectory(dir=folder, prefix="qwen3-chat-") as name:
                copy = Path(name) / path.name
                shutil.copyfile(path, copy)
                shutil.copyfile(log, f"{copy}-wal")
                return _in_memory(_checked(sqlite3.connect(copy, isolation_level=None)))
        except OSError as caught:
            error = caught
    raise error


def _spare_folders() -> Iterator[Path]:
    with suppress(FileNotFoundError):  # no folder for temporary files is writable
        yield Path(tempfile.gettempdir())
    if _MEMORY_FOLDER.is_dir():
        yield _MEMORY_FOLDER


def _in_memory(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Copy a database into memory and close it."""
    with closing(connection):
        copy = sqlite3.connect(":memory:", isolation_level=None)
        copy.row_factory = sqlite3.Row
        copy.text_factory = lambda data: data.decode(errors="replace")
        connection.backup(copy)
    return copy


def _checked(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return a connection that could read something; SQLite opens a file only when it is first read."""
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _uri(path: Path, parameters: str) -> str:
    return f"file:{quote(str(path.absolute()))}?{parameters}"
