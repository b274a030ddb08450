"""The whole store in one zip, and back: the database, the whole results, the files that tools wrote.

Settings, keys and permissions are no part of it. A backup is checked before anything is replaced, and what
was there before stays in a folder beside.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import sqlite3
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final
from urllib.parse import quote

import msgspec

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ChatImportError, StoreError
from qwen3_chat.store.chat_store import FILES_FOLDER, RESULTS_FOLDER
from qwen3_chat.store.database import OWNER_ONLY
from qwen3_chat.store.migrations import APPLICATION_ID, MIGRATIONS
from qwen3_chat.texts.formatting import GIB, format_size
from qwen3_chat.untrusted_zip import ZIP_ERRORS, TooManyEntriesError, open_zip

BACKUP_FORMAT: Final = "qwen3-chat-backup"
BACKUP_VERSION: Final = 1
MAX_BACKUP_BYTES: Final = 64 * GIB
MAX_BACKUP_ENTRIES: Final = 1_000_000
_MANIFEST: Final = "manifest.json"
_MAX_MANIFEST_BYTES: Final = 1 << 16
_DATABASE: Final = "chats.db"
_SHA256: Final = re.compile("[0-9a-f]{64}")
_CHAT_ID: Final = re.compile("[0-9]{1,18}")
_BUSY_TIMEOUT_S: Final = 2.0
_OWNER_ONLY_FOLDER: Final = 0o700


class _Manifest(msgspec.Struct, frozen=True):
    format: str
    version: int


@dataclass(frozen=True, slots=True)
class RestoredStore:
    """The outcome of a restore: the number of chats, and the folder of the store that was there before."""

    n_chats: int
    previous: Path | None


def write_backup(file: BinaryIO, database_copy: Path, data: Path, now: datetime) -> None:
    """Write a zip of a copy of the database and of the folders beside the original.

    Raises:
        OSError: a file can't be read or written.
    """
    manifest = {"format": BACKUP_FORMAT, "version": BACKUP_VERSION, "created_at": now.isoformat()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        archive.writestr(_MANIFEST, json.dumps(manifest))
        archive.write(database_copy, _DATABASE)
        for path, name in (*_results(data), *_chat_files(data)):
            with suppress(FileNotFoundError):  # deleted meanwhile
                archive.write(path, name)


def _results(data: Path) -> Iterator[tuple[Path, str]]:
    with suppress(FileNotFoundError):
        for path in sorted((data / RESULTS_FOLDER).iterdir()):
            if _SHA256.fullmatch(path.name) and _is_plain_file(path):
                yield path, f"{RESULTS_FOLDER}/{path.name}"


def _chat_files(data: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files that tools wrote; links lead out of the store, so they are left out."""
    folder = data / FILES_FOLDER
    for parent, _folders, names in os.walk(folder):
        for name in sorted(names):
            path = Path(parent, name)
            inside = path.relative_to(folder).as_posix()
            if _is_chat_file(inside) and _is_plain_file(path):
                yield path, f"{FILES_FOLDER}/{inside}"


def _is_plain_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _is_chat_file(name: str) -> bool:
    """Return whether a path leads to a file in the folder of a chat, on every system."""
    parts = PurePosixPath(name).parts
    is_inside = not any(part in ("..", "/") or re.search(r'[\\:*?"<>|\x00-\x1f]', part) for part in parts)
    return is_inside and len(parts) > 1 and _CHAT_ID.fullmatch(parts[0]) is not None


def count_chats(database: Path) -> int:
    """Return how many chats a database has; 1 for one that can't be read, 0 where there is none."""
    if not database.exists():
        return 0
    try:
        with closing(_connect(database, "mode=ro")) as connection:
            return int(connection.execute("SELECT count(*) FROM chats").fetchone()[0])
    except sqlite3.DatabaseError as error:
        return 0 if "no such table" in str(error) else 1


def restore_backup(path: Path, database: Path, now: datetime, *, replaces: bool) -> RestoredStore:
    """Put the store of a backup in the place of the one in use; this blocks.

    Raises:
        StoreError: there are chats and `replaces` is False, another process has them open, the disk is full.
        ChatImportError: it is no whole backup, or of a newer version. Nothing has changed then.
    """
    if not replaces and (count := count_chats(database)):
        raise StoreError(ErrorCode.RESTORE_WOULD_REPLACE, count=count)
    data = database.parent
    try:
        data.mkdir(mode=_OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data, prefix=".restore-") as name:
            unpacked = Path(name)
            _unpack(path, unpacked)
            n_chats = _check_database(unpacked / _DATABASE, path)
            previous = _swap(unpacked, database, now)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(ErrorCode.CHAT_DATABASE_DISK_FULL, path=data) from error
        raise ChatImportError(ErrorCode.RESTORE_FAILED, path=path, reason=error.strerror or error) from error
    return RestoredStore(n_chats, previous)


def _unpack(path: Path, folder: Path) -> None:
    try:
        with path.open("rb") as file, open_zip(file, MAX_BACKUP_ENTRIES) as archive:
            _check_manifest(archive, path)
            total = sum(entry.file_size for entry in archive.infolist())
            free = shutil.disk_usage(folder).free
            if total > min(MAX_BACKUP_BYTES, free):
                raise ChatImportError(
                    ErrorCode.BACKUP_TOO_LARGE, path=path, size=format_size(total), free=format_size(free)
                )
            for entry in archive.infolist():
                if target := _target(entry.filename):
                    _unpack_entry(archive, entry, folder / target)
    except TooManyEntriesError as error:
        raise ChatImportError(ErrorCode.BACKUP_INVALID, path=path, reason=error) from error
    except ZIP_ERRORS as error:
        raise ChatImportError(ErrorCode.BACKUP_INVALID, path=path, reason=error) from error


def _check_manifest(archive: zipfile.ZipFile, path: Path) -> None:
    with archive.open(_MANIFEST) as entry:
        content = entry.read(_MAX_MANIFEST_BYTES)
    try:
        manifest = msgspec.json.decode(content, type=_Manifest)
    except msgspec.MsgspecError as error:
        raise ChatImportError(ErrorCode.BACKUP_INVALID, path=path, reason=error) from error
    if manifest.format != BACKUP_FORMAT:
        raise ChatImportError(ErrorCode.BACKUP_INVALID, path=path, reason=manifest.format)
    if manifest.version > BACKUP_VERSION:
        raise ChatImportError(ErrorCode.BACKUP_NEWER, path=path)


def _target(name: str) -> Path | None:
    """Return the path of an entry in the store; None for what is no part of it."""
    folder, _, inside = name.partition("/")
    is_result = folder == RESULTS_FOLDER and _SHA256.fullmatch(inside)
    is_file = folder == FILES_FOLDER and not name.endswith("/") and _is_chat_file(inside)
    return Path(name) if name == _DATABASE or is_result or is_file else None


def _unpack_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(mode=_OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with archive.open(entry) as source, open(os.open(target, flags, OWNER_ONLY), "wb") as file:
        shutil.copyfileobj(source, file)
        file.flush()
        os.fsync(file.fileno())


def _check_database(database: Path, path: Path) -> int:
    """Return how many chats the database of a backup has.

    Raises:
        ChatImportError: it is damaged, of another program, or does something by itself.
    """
    try:
        with closing(_connect(database, "mode=ro")) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            is_ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
            acts = connection.execute(
                "SELECT 1 FROM sqlite_master WHERE type IN ('trigger', 'view')"
            ).fetchone()
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            count = int(
                connection.execute("SELECT count(*) FROM chats WHERE deleted_at IS NULL").fetchone()[0]
            )
    except (sqlite3.Error, ValueError) as error:
        raise ChatImportError(ErrorCode.BACKUP_INVALID, path=path, reason=error) from error
    if version > len(MIGRATIONS):
        raise ChatImportError(ErrorCode.BACKUP_NEWER, path=path)
    if not is_ours or acts or verdict != "ok":
        raise ChatImportError(ErrorCode.BACKUP_INVALID, path=path, reason=verdict)
    return count


def _swap(unpacked: Path, database: Path, now: datetime) -> Path | None:
    """Put what was unpacked in place; return the folder of what was there before."""
    data, previous = database.parent, None
    if database.exists():
        _take_log_in(database)
        previous = data / f"before-restore-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
        previous.mkdir(mode=_OWNER_ONLY_FOLDER)
        _copy(database, previous / database.name)
        for suffix in ("-wal", "-shm"):  # of a damaged one; the new one would be given their changes
            with suppress(FileNotFoundError):
                Path(f"{database}{suffix}").replace(previous / f"{database.name}{suffix}")
    files, old_files = data / FILES_FOLDER, (previous or data) / f"{FILES_FOLDER}"
    if previous is not None and files.exists():
        files.replace(old_files)
    try:
        (unpacked / _DATABASE).replace(database)
    except BaseException:
        if previous is not None and old_files.exists():
            old_files.replace(files)
        raise
    if (unpacked / FILES_FOLDER).exists():
        shutil.rmtree(files, ignore_errors=True)  # without a database, these belong to no chat
        (unpacked / FILES_FOLDER).replace(files)
    if (unpacked / RESULTS_FOLDER).exists():  # named by their content: those that are there are equal
        (data / RESULTS_FOLDER).mkdir(mode=_OWNER_ONLY_FOLDER, exist_ok=True)
        for result in (unpacked / RESULTS_FOLDER).iterdir():
            result.replace(data / RESULTS_FOLDER / result.name)
    return previous


def _take_log_in(database: Path) -> None:
    """Write the log beside a database into it, and remove the log.

    Raises:
        StoreError: another process has the database open.
    """
    try:
        with closing(_connect(database, "mode=rw")) as connection:
            mode = connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
    except sqlite3.OperationalError as error:
        raise StoreError(ErrorCode.CHAT_DATABASE_BUSY, path=database, reason=error) from error
    except sqlite3.DatabaseError:
        return  # damaged: its files are put aside as they are
    if mode != "delete":
        raise StoreError(ErrorCode.CHAT_DATABASE_BUSY, path=database, reason=mode)


def _copy(source: Path, target: Path) -> None:
    """Give a file a second name, which stays when the first is replaced; copy it where that is impossible."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _connect(path: Path, parameters: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?{parameters}"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
