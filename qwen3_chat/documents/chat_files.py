"""The files that tools have written in the folder of a chat: which there are, and which may be opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from msgspec import Struct

MAX_LISTED_FILES: Final = 200
_MAX_READ_NAMES: Final = 5_000
_MAX_DEPTH: Final = 8
_HEAD_BYTES: Final = 16

_OPENED_SUFFIXES: Final = {
    b"\x89PNG\r\n\x1a\n": (".png",),
    b"\xff\xd8\xff": (".jpg", ".jpeg"),
    b"GIF87a": (".gif",),
    b"GIF89a": (".gif",),
    b"RIFF": (".webp",),
    b"BM": (".bmp",),
    b"%PDF-": (".pdf",),
}
"""The suffixes of what may be opened, by the first bytes: nothing that another program would run."""


class ChatFile(Struct, frozen=True):
    """A file of a chat; `name` is its path below the folder of the chat, with `/`.

    `can_open` is true for pictures and PDFs.
    """

    name: str
    path: Path
    size_bytes: int
    modified: float
    can_open: bool


def list_chat_files(folder: Path) -> list[ChatFile]:
    """Return the regular files below a folder, the latest first; links are left out. This blocks."""
    entries = islice(_files_below(folder, _MAX_DEPTH), _MAX_READ_NAMES)
    found = [file for entry in entries if (file := _chat_file(entry, folder)) is not None]
    return sorted(found, key=lambda file: (-file.modified, file.name))[:MAX_LISTED_FILES]


def _files_below(folder: Path, depth: int) -> Iterator[os.DirEntry[str]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_file(follow_symlinks=False):
            yield entry
        elif depth and entry.is_dir(follow_symlinks=False):
            yield from _files_below(Path(entry.path), depth - 1)


def _chat_file(entry: os.DirEntry[str], folder: Path) -> ChatFile | None:
    """Return a file; None if it has gone meanwhile."""
    path = Path(entry.path)
    try:
        status = entry.stat(follow_symlinks=False)
        can_open = _can_open(path)
    except OSError:
        return None
    name = path.relative_to(folder).as_posix()
    return ChatFile(name, path, status.st_size, status.st_mtime, can_open)


def _can_open(path: Path) -> bool:
    """Return whether a file is a picture or a PDF by its suffix and by its bytes."""
    suffix = path.suffix.lower()
    if not any(suffix in suffixes for suffixes in _OPENED_SUFFIXES.values()):
        return False
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        head = stream.read(_HEAD_BYTES)
    return any(head.startswith(start) and suffix in suffixes for start, suffixes in _OPENED_SUFFIXES.items())
