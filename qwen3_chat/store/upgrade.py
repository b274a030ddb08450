"""Bring a database file to the current schema."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from qwen3_chat.errors import StoreError
from qwen3_chat.store.database import in_transaction, settle
from qwen3_chat.store.migrations import Migration

APPLICATION_ID: Final = 0x51336368  # "Q3ch": tells our files from those of other programs, `file` shows it


def upgrade(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration], now: datetime
) -> None:
    """Run the migrations that a file still lacks, all in one transaction, after a copy of the file as it was.

    Raises:
        StoreError: the file is of a newer version, of another program, or the copy could not be made.
    """
    # Refuses a file before anything in it is changed; in one transaction, as another app may be making it.
    version = in_transaction(connection, "DEFERRED", partial(_version, path=path, known=len(migrations)))
    settle(connection, path)
    if version < len(migrations):
        missing = partial(_run_missing, path=path, migrations=migrations, now=now)
        in_transaction(connection, "IMMEDIATE", missing)


def _run_missing(
    connection: sqlite3.Connection, *, path: Path, migrations: Sequence[Migration], now: datetime
) -> None:
    # Asked again under the lock: another app may have upgraded the file meanwhile.
    version = _version(connection, path, len(migrations))
    if version == len(migrations):
        return
    copy = _back_up(path, version, now) if version else None
    try:
        for migration in migrations[version:]:
            migration(connection)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
    except BaseException:
        if copy is not None:  # the file stays as it was, and a copy at each start would fill the disk
            copy.unlink()
        raise


def _version(connection: sqlite3.Connection, path: Path, known: int) -> int:
    """Return the file's version, 0 for an empty one."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if (version or tables) and application_id != APPLICATION_ID:
        raise StoreError("store.foreign", path=path)
    if version > known:
        raise StoreError("store.newer", path=path, version=version, known=known)
    return version


def _back_up(path: Path, version: int, now: datetime) -> Path:
    """Copy the file beside itself, through a second connection that sees the state before the migrations."""
    copy = path.with_name(f"{path.stem}-v{version}-{now:%Y%m%dT%H%M%S}.db")
    try:
        # Made here first, for its mode, and so that no earlier copy is written over.
        os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
        except BaseException:
            copy.unlink()
            raise
    except (sqlite3.Error, OSError) as error:
        raise StoreError("store.no_backup", path=copy, reason=error) from error
    return copy
