"""The files of whole results: what a tool returned, where it was cut for the model.

A file is named by the SHA-256 of its content, so equal results share one, in whatever chats they are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from qwen3_chat.store.database import OWNER_ONLY
from qwen3_chat.store.records import WholeResult
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import GIB, MIB, format_size
from qwen3_chat.texts.terminal_safe import terminal_safe

MAX_RESULT_BYTES: Final = 32 * MIB
"""The largest result that is saved."""
MAX_CHAT_BYTES: Final = 128 * MIB
"""The most that is saved of one chat."""
MAX_TOTAL_BYTES: Final = GIB
"""The most that is saved of all chats together."""

_OWNER_ONLY_FOLDER: Final = 0o700
_PART_SUFFIX: Final = ".part"
_PIECE_CHARS: Final = 1 << 18
"""The characters that are encoded at once: a whole result at once would hold Python's lock for too long."""
_SHA256: Final = re.compile("[0-9a-f]{64}")


class NotSaved(StrEnum):
    """The reason why a whole result was not saved."""

    TOO_LARGE = "too_large"
    CHAT_FULL = "chat_full"
    ALL_FULL = "all_full"
    NOT_WRITTEN = "not_written"
    NOT_IMPORTED = "not_imported"


ResultPath = Callable[[WholeResult], Path | None]
"""A function that returns the file of a whole result; None for one that was not saved."""


def whole_result_note(result: WholeResult | None, result_path: ResultPath) -> str:
    """Return where the whole of a result is that was cut for the model, or why it was not saved.

    Return nothing for None, a result that was not cut.
    """
    if result is None:
        return ""
    if (path := result_path(result)) is not None:
        return t("wording.whole_result", characters=result.characters, path=path)
    reason = _not_saved_reason(result)
    return t("wording.whole_result_not_saved", characters=result.characters, reason=reason)


def _not_saved_reason(result: WholeResult) -> str:
    """Return why a whole result was not saved, in the language in use."""
    match result.not_saved:
        case NotSaved.TOO_LARGE:
            return t("wording.not_saved.too_large", size=format_size(MAX_RESULT_BYTES))
        case NotSaved.CHAT_FULL:
            return t("wording.not_saved.chat_full", size=format_size(MAX_CHAT_BYTES))
        case NotSaved.ALL_FULL:
            return t("wording.not_saved.all_full", size=format_size(MAX_TOTAL_BYTES))
        case NotSaved.NOT_IMPORTED:
            return t("wording.not_saved.not_imported")
        case _:  # one of a later version, too
            return t("wording.not_saved.not_written")


class _LimitReachedError(Exception):
    def __init__(self, reason: NotSaved) -> None:
        super().__init__(reason)
        self.reason = reason


class ResultFiles:
    """A folder of whole results; only the user can read it. Its methods block, so threads call them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, text: str, chat_bytes: int) -> WholeResult:
        """Write a result to its file, without characters that steer a terminal; return what became of it.

        `chat_bytes` is what its chat has in files already. A result over a limit is not saved, and neither is
        one that the disk refuses: the chat goes on without.
        """
        import secrets

        part = self.folder / f"{secrets.token_hex(8)}{_PART_SUFFIX}"
        try:
            return self._save(text, chat_bytes, part)
        except _LimitReachedError as reached:
            return WholeResult(len(text), not_saved=reached.reason.value)
        except OSError:
            return WholeResult(len(text), not_saved=NotSaved.NOT_WRITTEN.value)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def _save(self, text: str, chat_bytes: int, part: Path) -> WholeResult:
        import hashlib

        limit, reason = min(
            (MAX_RESULT_BYTES, NotSaved.TOO_LARGE),
            (MAX_CHAT_BYTES - chat_bytes, NotSaved.CHAT_FULL),
            (MAX_TOTAL_BYTES - self._total_bytes(), NotSaved.ALL_FULL),
        )
        if len(text) > MAX_RESULT_BYTES:  # a character has a byte at least
            raise _LimitReachedError(NotSaved.TOO_LARGE)
        _make_private_folder(self.folder)
        digest, size_bytes = hashlib.sha256(), 0
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb") as file:
            for start in range(0, len(text), _PIECE_CHARS):
                piece = terminal_safe(text[start : start + _PIECE_CHARS]).encode()
                size_bytes += len(piece)
                if size_bytes > limit:
                    raise _LimitReachedError(reason)
                digest.update(piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.folder / digest.hexdigest())  # that of an equal result, too: it is as good as new
        return WholeResult(len(text), digest.hexdigest(), size_bytes)

    def path(self, result: WholeResult) -> Path | None:
        """Return the file of a result; None for one that was not saved."""
        # the hash may come from a file that somebody else wrote
        return self.folder / result.sha256 if _SHA256.fullmatch(result.sha256) else None

    def has(self, result: WholeResult) -> bool:
        """Return whether the file of a result is here, in the size that it should have."""
        path = self.path(result)
        try:
            return path is not None and path.stat().st_size == result.size_bytes
        except OSError:
            return False

    def written_before(self, moment: datetime) -> frozenset[str]:
        """Return the names of the files that were last written before a moment."""
        moment_s = moment.timestamp()
        return frozenset(entry.name for entry in self._entries() if _written_s(entry) < moment_s)

    def remove(self, names: Collection[str], moment: datetime) -> None:
        """Remove files, unless one has been written since a moment."""
        for name in self.written_before(moment).intersection(names):
            with suppress(OSError):
                (self.folder / name).unlink(missing_ok=True)

    def _total_bytes(self) -> int:
        total = 0
        for entry in self._entries():
            with suppress(OSError):
                total += entry.stat(follow_symlinks=False).st_size
        return total

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        """Yield the files of results, those that a killed process left unfinished among them."""
        with suppress(OSError), os.scandir(self.folder) as entries:
            yield from (e for e in entries if _SHA256.fullmatch(e.name) or e.name.endswith(_PART_SUFFIX))


def _make_private_folder(folder: Path) -> None:
    folder.mkdir(mode=_OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
    if os.name == "posix" and folder.stat().st_mode & 0o777 != _OWNER_ONLY_FOLDER:
        folder.chmod(_OWNER_ONLY_FOLDER)


def _written_s(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat(follow_symlinks=False).st_mtime
    except OSError:
        return float("inf")
