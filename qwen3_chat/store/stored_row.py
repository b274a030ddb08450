"""The cells of a row that may be damaged: each is read as what it should be, and what is not is noted."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from qwen3_chat.texts import t

T = TypeVar("T")

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MAX_TIME_MS: Final = 250_000_000_000_000  # in the year 9892: every time zone can show it
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


class Damage:
    """The places of the database that could not be read, each told once."""

    def __init__(self) -> None:
        self._new: list[str] = []
        self._told: set[str] = set()
        self._is_undecodable = False

    def decode(self, data: bytes) -> str:
        """Decode a text of the database; bytes that are no UTF-8 become U+FFFD."""
        try:
            return data.decode()
        except UnicodeDecodeError:
            self._is_undecodable = True
            return data.decode(errors="replace")

    def take_undecodable(self) -> bool:
        """Return whether a text did not decode since the last call; SQLite reads a row in one go."""
        was, self._is_undecodable = self._is_undecodable, False
        return was

    def note(self, location: str) -> None:
        """Note a location that is damaged, such as `messages 12: content`."""
        if location not in self._told:
            self._told.add(location)
            self._new.append(location)

    def take_sentences(self, path: Path) -> list[str]:
        """Return the sentence about what was found since the last call; an empty list for nothing."""
        new, self._new = self._new, []
        return [t("store.cells_damaged", path=path, count=len(new), first=new[0])] if new else []


class StoredRow(sqlite3.Row):
    """A row whose cells are read by their type; a damaged one gives a default and is noted."""

    damage: Damage

    def __getitem__(self, key: Any) -> Any:
        """Return a value as SQLite has it.

        Raises:
            sqlite3.DatabaseError: a damaged schema has no such column.
        """
        try:
            return super().__getitem__(key)
        except IndexError as error:
            raise sqlite3.DatabaseError(f"no such column: {key}") from error

    def text(self, name: str) -> str:
        """Return a text; bytes are decoded, other values written out."""
        value: object = self[name]
        if isinstance(value, str):
            return value
        self._note(name)
        if isinstance(value, bytes):
            return value.decode(errors="replace")
        return "" if value is None else str(value)

    def optional_integer(self, name: str) -> int | None:
        """Return a whole number, or None for NULL and for anything else."""
        value: object = self[name]
        if value is None or isinstance(value, int):
            return value
        self._note(name)
        return None

    def integer(self, name: str) -> int:
        """Return a whole number; 0 for anything else."""
        value = self.optional_integer(name)
        return 0 if value is None else value

    def time(self, name: str) -> datetime:
        """Return a time; 1970 for one that no calendar has."""
        value = self.integer(name)
        if not 0 <= value <= MAX_TIME_MS:
            self._note(name)
            value = 0
        return EPOCH + timedelta(milliseconds=value)

    def optional_time(self, name: str) -> datetime | None:
        """Return a time, or None for NULL."""
        return None if self[name] is None else self.time(name)

    def value(self, name: str, convert: Callable[[str], T], default: T) -> T:
        """Return what a conversion makes of a text; the default if it refuses the text."""
        text = self.text(name)
        try:
            return convert(text)
        except (ValueError, msgspec.MsgspecError, RecursionError):
            self._note(name)
            return default

    def packed(self, name: str, item_bytes: int) -> bytes:
        """Return bytes that are whole items of a size; none for anything else."""
        value: object = self[name]
        if isinstance(value, bytes) and len(value) % item_bytes == 0:
            return value
        self._note(name)
        return b""

    def note(self, cell: str) -> None:
        """Note damage of this row."""
        self._note(cell)

    def _note(self, name: str) -> None:
        row_id = self["id"] if "id" in self.keys() else "?"
        self.damage.note(f"{row_id}: {name}")


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Return whether SQLite met a damaged page, so that other pages may still be read."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_CORRUPT


def note_damage(connection: sqlite3.Connection, location: str) -> None:
    """Note damage that no row stands for, where the connection collects it."""
    if isinstance(factory := connection.row_factory, RowFactory):
        factory.damage.note(location)


class RowFactory:
    """A row factory whose rows note their damage in one location."""

    def __init__(self, damage: Damage) -> None:
        self.damage = damage

    def __call__(self, cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> StoredRow:
        """Return the row of these values."""
        row = StoredRow(cursor, values)
        row.damage = self.damage
        if self.damage.take_undecodable():
            row.note("text")
        return row
