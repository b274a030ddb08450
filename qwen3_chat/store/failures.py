"""SQLite's errors as sentences."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from qwen3_chat.errors import StoreError

_KEYS: Final = {
    sqlite3.SQLITE_FULL: "store.disk_full",
    sqlite3.SQLITE_NOTADB: "store.no_database",
    sqlite3.SQLITE_CORRUPT: "store.damaged",
    sqlite3.SQLITE_READONLY: "store.not_writable",
    sqlite3.SQLITE_CANTOPEN: "store.not_writable",
    sqlite3.SQLITE_PERM: "store.not_writable",
    sqlite3.SQLITE_BUSY: "store.busy",
    sqlite3.SQLITE_LOCKED: "store.busy",
}
_PRIMARY_CODE: Final = 0xFF  # the upper bits of a result code tell more than a user needs


def store_error(error: sqlite3.Error | OSError, path: Path) -> StoreError:
    """Return the error that tells a user what went wrong with the file."""
    if isinstance(error, OSError):
        return StoreError("store.not_writable", path=path, reason=error.strerror or error)
    code = getattr(error, "sqlite_errorcode", None)
    key = "store.failed" if code is None else _KEYS.get(code & _PRIMARY_CODE, "store.failed")
    return StoreError(key, path=path, reason=error)
