"""A new file that never replaces another one."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ExportError
from qwen3_chat.texts.terminal_safe import storable

_ERROR_CODES: Final = {
    errno.ENOSPC: ErrorCode.EXPORT_DISK_FULL,
    errno.EDQUOT: ErrorCode.EXPORT_DISK_FULL,
    errno.EACCES: ErrorCode.EXPORT_NOT_PERMITTED,
    errno.EPERM: ErrorCode.EXPORT_NOT_PERMITTED,
    errno.EROFS: ErrorCode.EXPORT_NOT_PERMITTED,
    errno.ENOENT: ErrorCode.EXPORT_FOLDER_MISSING,
    errno.ENOTDIR: ErrorCode.EXPORT_FOLDER_MISSING,
}
_OWNER_ONLY: Final = 0o600
_NO_LINKS: Final = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
"""The errors of file systems without links, such as exFAT and some network shares; on Windows the last."""


def write_new_file(target: Path, text: str, default_name: str) -> Path:
    """Write a text to the file `target`, or as `default_name` into the folder `target`; return the path.

    A name that is taken gets ` (2)`, ` (3)` and so on. The file appears whole, under a name that was free at
    that moment, so two exports at once cannot meet either.

    Raises:
        ExportError: the folder is missing or can't be written, or the disk is full.
    """
    content = storable(text).encode()
    return make_new_file(target, default_name, lambda file: file.write(content))


def make_new_file(target: Path, default_name: str, write: Callable[[BinaryIO], object]) -> Path:
    """Make a file as `write_new_file` does, of what a function writes into it; return the path.

    Raises:
        ExportError: as there.
    """
    path = target
    try:
        if target.is_dir():
            path = target / default_name
        return _write(path, write)
    except OSError as error:
        code = _ERROR_CODES.get(error.errno or 0, ErrorCode.EXPORT_FAILED)
        raise ExportError(code, path=path, folder=path.parent, reason=error.strerror or error) from error
    except ValueError as error:  # a name that no file system can hold
        raise ExportError(ErrorCode.EXPORT_FAILED, path=path, folder=path.parent, reason=error) from error


def _write(path: Path, write: Callable[[BinaryIO], object]) -> Path:
    import secrets

    part = path.with_name(f".qwen3-chat-{secrets.token_hex(8)}.part")
    try:
        _create(part, write)
        return _give_free_name(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def _give_free_name(part: Path, path: Path) -> Path:
    for number in itertools.count(1):
        name = path if number == 1 else path.with_name(f"{path.stem} ({number}){path.suffix}")
        try:
            _link(part, name)
        except FileExistsError:
            continue
        return name
    raise AssertionError("the numbers never end")


def _link(part: Path, name: Path) -> None:
    """Give a file a name; unlike a rename, this fails where the name is taken."""
    try:
        os.link(part, name)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with part.open("rb") as source:
            _create(name, lambda file: shutil.copyfileobj(source, file))


def _create(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a new file that only its owner can read, as the chats themselves."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), _OWNER_ONLY)
    with open(descriptor, "wb") as file:
        try:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            path.unlink()
            raise
