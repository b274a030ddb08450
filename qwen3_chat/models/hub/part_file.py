"""The part of a file that has arrived; it outlives runs, and any source can complete it."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import HubError
from qwen3_chat.models.gguf_file_name import partial_download_name
from qwen3_chat.models.hub.download_errors import DamagedError
from qwen3_chat.models.hub.hub_file import HubFile
from qwen3_chat.texts.formatting import format_size

RESERVE_BYTES = 256 << 20
"""The bytes that stay free on the disk, for all other programs."""

_STEP_BYTES = 4 << 20


def part_path(target: Path, file: HubFile) -> Path:
    """Return the path of a part; it names the version of the file, so versions can't be mixed."""
    return target.with_name(partial_download_name(target.name, file.sha256))


class PartFile:
    """The part of a file, open for appending, by the process that holds its lock; every method may block.

    Methods that write raise HubError where the disk is full or can't be written.
    """

    def __init__(self, target: Path, file: HubFile) -> None:
        self._target = target
        self._file = file
        self.path = part_path(target, file)
        self.size_bytes = 0
        """The bytes that are there and in the checksum."""
        try:
            self._stream = self.path.open("r+b" if self.path.exists() else "w+b", buffering=0)
        except OSError as error:
            raise HubError(
                ErrorCode.DOWNLOAD_NOT_WRITABLE, path=self.path, reason=error.strerror or error
            ) from error
        self._sum = hashlib.sha256()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def hash_next_step(self) -> bool:
        """Add a step of an earlier run's bytes to the checksum, and return whether there is more."""
        step = self._stream.read(min(_STEP_BYTES, self._file.size_bytes - self.size_bytes))
        self._sum.update(step)
        self.size_bytes += len(step)
        if step and self.size_bytes < self._file.size_bytes:
            return True
        self._cut(self.size_bytes)
        return False

    def append(self, data: bytes) -> None:
        """Write bytes at the end; those that do not fit on the disk are not counted."""
        remaining = memoryview(data)
        while remaining:
            try:
                written = self._stream.write(remaining) or 0
            except OSError as error:
                self._cut(self.size_bytes)
                raise self._write_error(error) from error
            self._sum.update(remaining[:written])
            self.size_bytes += written
            remaining = remaining[written:]

    def discard(self) -> None:
        """Discard the bytes and the checksum."""
        self._cut(0)
        self._sum = hashlib.sha256()
        self.size_bytes = 0

    def check_space(self, reserve_bytes: int = 0) -> None:
        """Check that the missing bytes fit on the disk.

        Raises:
            HubError: they don't.
        """
        free_bytes = shutil.disk_usage(self.path.parent).free
        missing_bytes = self._file.size_bytes - self.size_bytes
        if free_bytes < missing_bytes + reserve_bytes:
            raise HubError(
                ErrorCode.DISK_TOO_SMALL,
                need=format_size(missing_bytes + reserve_bytes),
                free=format_size(free_bytes),
                folder=self.path.parent,
            )

    def finish(self) -> None:
        """Give the complete file its name.

        Raises:
            DamagedError: the bytes aren't those of the file; they are discarded.
        """
        if self._sum.hexdigest() != self._file.sha256:
            self.discard()
            raise DamagedError(ErrorCode.DOWNLOAD_DAMAGED, name=self._file.name)
        try:
            os.fsync(self._stream.fileno())
            self._stream.close()  # Windows renames no open file
            self.path.replace(self._target)
        except OSError as error:
            raise self._write_error(error) from error

    def _cut(self, length: int) -> None:
        self._stream.seek(length)
        self._stream.truncate()

    def _write_error(self, error: OSError) -> HubError:
        if is_disk_full(error):
            free_bytes = shutil.disk_usage(self.path.parent).free
            return HubError(
                ErrorCode.DOWNLOAD_DISK_FULL,
                folder=self.path.parent,
                free=format_size(free_bytes),
                part=self.path.name,
            )
        return HubError(ErrorCode.DOWNLOAD_NOT_WRITABLE, path=self.path, reason=error.strerror or error)


def is_disk_full(error: OSError) -> bool:
    """Return whether a write failed for lack of space on the disk, in a quota, or in a file's size limit."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or getattr(error, "winerror", 0) == 112
