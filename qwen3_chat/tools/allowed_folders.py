"""The folders that tools may read: a path is opened below one of them, one part after the other, by no link.

Each part is opened relative to the one before it, so nobody can exchange a folder for a link in between. What
is private is known by its identity on the disk, so another name or a hard link does not help either.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Final

from qwen3_chat.tools.tool import ToolError

MAX_PATH_CHARS: Final = 4_096
"""The longest path, in characters."""

_MAX_PRIVATE_FILES: Final = 1_000
_HAS_DIR_FD: Final = os.open in os.supports_dir_fd
_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a pipe without a writer
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)

Identity = tuple[int, int]
"""The device and the number of a file or folder."""


class AllowedFolders:
    """The folders that the user allowed, without what is private in them."""

    def __init__(self, folders: Sequence[Path], private_paths: Sequence[Path]) -> None:
        self.folders = tuple(folders)
        self._private_paths = tuple(private_paths)

    @contextmanager
    def open(self, path: str, *, folder: bool = False) -> Iterator[int]:
        """Open a regular file, or a folder, and yield its descriptor, which is closed in the end.

        Raises:
            ToolError: the path leads elsewhere, to something private, or to nothing that can be read.
        """
        root, parts = self._locate(path)
        try:
            private = self._private_identities()
            descriptor = self._walk(root, parts, private, folder=folder)
        except (OSError, ValueError) as error:
            raise ToolError(f"{_quoted(path)} can't be opened: {_reason(error)}.") from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _locate(self, path: str) -> tuple[Path, tuple[str, ...]]:
        """Return the allowed folder that a path is written as being in, and the parts below it."""
        if not self.folders:
            raise ToolError("The user has allowed no folder; the setting tool_folders names them.")
        written = PurePath(path)
        if len(path) > MAX_PATH_CHARS or "\0" in path or not written.is_absolute() or ".." in written.parts:
            raise ToolError(f"Name a whole path without '..'. Allowed folders: {self.names}.")
        for folder in self.folders:
            for root in (folder, folder.resolve()):
                if written.is_relative_to(root):
                    return folder.resolve(), written.relative_to(root).parts
        raise ToolError(f"{_quoted(path)} is in no folder that the user allowed. Allowed: {self.names}.")

    @property
    def names(self) -> str:
        """The folders as the model is told of them."""
        return ", ".join(map(str, self.folders)) or "none"

    def _walk(self, root: Path, parts: Sequence[str], private: frozenset[Identity], *, folder: bool) -> int:
        for parent in (root, *root.parents):
            _refuse_private(parent.stat(), private)
        if not _HAS_DIR_FD:
            return _open_resolved(root.joinpath(*parts), private, folder=folder)
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for number, part in enumerate(parts, start=1):
            is_folder = folder or number < len(parts)
            try:
                inner = _open_part(part, descriptor, private, folder=is_folder)
            finally:
                os.close(descriptor)
            descriptor = inner
        if not parts and not folder:
            os.close(descriptor)
            raise IsADirectoryError
        return descriptor

    def _private_identities(self) -> frozenset[Identity]:
        """Return the identities of private files and folders, and of the files in those folders."""
        identities = set[Identity]()
        for path in self._private_paths:
            with suppress(OSError):
                identities.add(_identity(path.stat()))
                with os.scandir(path) as entries:
                    for entry, _ in zip(entries, range(_MAX_PRIVATE_FILES), strict=False):
                        with suppress(OSError):
                            identities.add(_identity(entry.stat()))
        return frozenset(identities)


def _open_part(part: str, parent: int, private: frozenset[Identity], *, folder: bool) -> int:
    status = os.stat(part, dir_fd=parent, follow_symlinks=False)
    _refuse_kind(status, folder=folder)  # before it is opened: opening a device can do something
    descriptor = os.open(part, _FLAGS | (os.O_DIRECTORY if folder else 0), dir_fd=parent)
    return _checked(descriptor, private, folder=folder)


def _open_resolved(path: Path, private: frozenset[Identity], *, folder: bool) -> int:
    """Open a path where parts can't be opened one by one (Windows); it must be without links.

    Windows opens no folder as a file: a descriptor of nothing stands for one that was checked.
    """
    if path.resolve(strict=True) != path:
        raise OSError("it leads through a link")
    for parent in path.parents:
        _refuse_private(parent.stat(), private)
    status = path.lstat()
    _refuse_kind(status, folder=folder)
    if folder:
        _refuse_private(status, private)
        return os.open(os.devnull, os.O_RDONLY)
    return _checked(os.open(path, _FLAGS), private, folder=folder)


def _checked(descriptor: int, private: frozenset[Identity], *, folder: bool) -> int:
    try:
        status = os.fstat(descriptor)
        _refuse_kind(status, folder=folder)
        _refuse_private(status, private)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_kind(status: os.stat_result, *, folder: bool) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise OSError("it leads through a link, and links are not followed")
    if folder and not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError("it is no folder")
    if not folder and stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError("it is a folder")
    if not folder and not stat.S_ISREG(status.st_mode):
        raise OSError("it is no regular file")


def _refuse_private(status: os.stat_result, private: frozenset[Identity]) -> None:
    if _identity(status) in private:
        raise PermissionError("it is private")


def _identity(status: os.stat_result) -> Identity:
    return (status.st_dev, status.st_ino)


def _quoted(path: str) -> str:
    return repr(path) if len(path) <= 200 else f"{path[:200]!r}…"


def _reason(error: Exception) -> str:
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


ABSOLUTE_PATH: Final = r"^([A-Za-z]:[\\/]|[\\/])" if sys.platform == "win32" else "^/"
"""The pattern of a whole path, for schemas: what is relative is told before the user is asked."""
