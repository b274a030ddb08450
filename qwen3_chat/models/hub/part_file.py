"""The part of a file that has arrived; it outlives runs, and any source can complete it.

Beside it lies a file with a checksum for each piece, written while the pieces arrive: that of the file up to
the piece's end, which costs no second pass over the bytes. A piece that has changed on the disk is a gap,
which is fetched again, and not the whole file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import struct
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import HubError
from qwen3_chat.models.gguf_file_name import partial_download_name, piece_sums_name
from qwen3_chat.models.hub.download_errors import DamagedError
from qwen3_chat.models.hub.hub_file import HubFile
from qwen3_chat.texts.formatting import format_size

RESERVE_BYTES = 256 << 20
"""The bytes that stay free on the disk, for all other programs."""

PIECE_BYTES = 1 << 20
"""The size of a piece that has a checksum of its own, and that is hashed at once."""

_PIECES_PER_STEP = 4
_RECORD = struct.Struct("<Q")
"""The beginning of a piece's checksum; 0 stands for none, as where a disk has lost it."""


def part_path(target: Path, file: HubFile) -> Path:
    """Return the path of a part; it names the version of the file, so versions can't be mixed."""
    return target.with_name(partial_download_name(target.name, file.sha256))


MAX_PIECES = 1 << 22


class _PieceSums:
    """The checksums of pieces in a file; where it can't be read or written, there are none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sums: dict[int, int] = {}
        self._is_writable = True
        with suppress(OSError):
            data = path.read_bytes()[: MAX_PIECES * _RECORD.size]
            whole = len(data) - len(data) % _RECORD.size
            for number, (checksum,) in enumerate(_RECORD.iter_unpack(data[:whole])):
                if checksum:
                    self._sums[number] = checksum

    def get(self, number: int) -> int | None:
        return self._sums.get(number)

    def put(self, number: int, checksum: int) -> None:
        if self._sums.get(number) == checksum:
            return
        self._sums[number] = checksum
        if self._is_writable:
            try:
                with self.path.open("r+b" if self.path.exists() else "w+b", buffering=0) as stream:
                    stream.seek(number * _RECORD.size)
                    stream.write(_RECORD.pack(checksum))
            except OSError:  # they only save a download; the checksum of the file decides
                self._is_writable = False

    def clear(self) -> None:
        self._sums.clear()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def rename_part(target: Path, file: HubFile) -> None:
    """Give a complete part its name; a file that has it already is replaced at that moment, not before.

    Raises:
        HubError: it can't be renamed, or was deleted.
    """
    part = part_path(target, file)
    try:
        part.replace(target)
    except FileNotFoundError as error:
        raise HubError(ErrorCode.DOWNLOAD_REMOVED, name=file.name) from error
    except OSError as error:
        raise HubError(
            ErrorCode.DOWNLOAD_NOT_WRITABLE, path=target, reason=error.strerror or error
        ) from error
    with suppress(OSError):
        Path(piece_sums_name(str(part))).unlink(missing_ok=True)


def _short(checksum: hashlib._Hash) -> int:
    """Return the beginning of a checksum, as it stands beside a part."""
    (number,) = _RECORD.unpack(checksum.digest()[: _RECORD.size])
    return int(number)


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
        self.gap_end_bytes: int | None = None
        """The end of a piece that has changed on the disk and must arrive again; None where there is none."""
        self._sums = _PieceSums(Path(piece_sums_name(str(self.path))))
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

    @property
    def end_bytes(self) -> int:
        """The end of the bytes that are missing after those that are there."""
        return self._file.size_bytes if self.gap_end_bytes is None else self.gap_end_bytes

    def hash_next_step(self) -> bool:
        """Add some bytes of an earlier run to the checksum, and return whether there is more.

        It stops at a gap, and goes on behind it once its bytes have arrived.
        """
        self.gap_end_bytes = None
        return all(self._hash_next_piece() for _ in range(_PIECES_PER_STEP))

    def _hash_next_piece(self) -> bool:
        want_bytes = min(PIECE_BYTES - self.size_bytes % PIECE_BYTES, self._file.size_bytes - self.size_bytes)
        try:
            self._stream.seek(self.size_bytes)
            piece = self._stream.read(want_bytes)
        except OSError:  # a page that the disk can't read any more is as good as changed
            piece = None
        before = self._sum.copy()
        if piece is not None:
            self._sum.update(piece)
        known = self._sums.get(self.size_bytes // PIECE_BYTES)
        is_whole = piece is not None and len(piece) == want_bytes
        if piece is None or (piece and is_whole and known not in (None, _short(self._sum))):
            self._sum = before
            self.gap_end_bytes = self.size_bytes + want_bytes
            return False
        self._grow(len(piece))
        if piece and self.size_bytes < self._file.size_bytes:
            return True
        self._cut(self.size_bytes)
        return False

    def count(self, data: memoryview) -> None:
        """Add bytes that are on the disk to the checksum of the file and to those of its pieces."""
        while data:
            piece = data[: PIECE_BYTES - self.size_bytes % PIECE_BYTES]
            self._sum.update(piece)
            self._grow(len(piece))
            data = data[len(piece) :]

    def _grow(self, n_bytes: int) -> None:
        """Count bytes that are in the checksum; they end a piece, or lie within one."""
        self.size_bytes += n_bytes
        if n_bytes and (self.size_bytes % PIECE_BYTES == 0 or self.size_bytes == self._file.size_bytes):
            self._sums.put((self.size_bytes - 1) // PIECE_BYTES, _short(self._sum))

    def append(self, data: bytes) -> None:
        """Write bytes behind those that are there; those that do not fit on the disk are not counted."""
        n_written, error = self.write(self.size_bytes, memoryview(data))
        self.count(memoryview(data)[:n_written])
        if error is not None:
            raise self.cut_after(error)

    def write(self, at_bytes: int, data: memoryview) -> tuple[int, OSError | None]:
        """Write bytes that are not counted yet; return how many are there, and what kept others away.

        Raises:
            HubError: somebody deleted the part.
        """
        if self._is_removed():
            raise HubError(ErrorCode.DOWNLOAD_REMOVED, name=self._file.name)
        n_written = 0
        try:
            self._stream.seek(at_bytes)
            while n_written < len(data):
                n_written += self._stream.write(data[n_written:]) or 0
        except OSError as error:
            return n_written, error
        return n_written, None

    def cut_after(self, error: OSError) -> HubError:
        """Cut off what is not counted, once a write failed, and return the error to raise."""
        if self.gap_end_bytes is None:
            with suppress(OSError):
                self._cut(self.size_bytes)
        return self._write_error(error)

    def flush(self) -> None:
        """Have the disk take what it was given, so that little is left to do at the end."""
        with suppress(OSError):  # the flush at the end decides
            os.fsync(self._stream.fileno())

    def discard(self) -> None:
        """Discard the bytes and the checksums."""
        self._cut(0)
        self._sum = hashlib.sha256()
        self._sums.clear()
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

    def verify(self) -> None:
        """Check the complete file and flush it to the disk.

        Raises:
            DamagedError: the bytes aren't those of the file; they are discarded.
        """
        if self._sum.hexdigest() != self._file.sha256:
            self.discard()
            raise DamagedError(ErrorCode.DOWNLOAD_DAMAGED, name=self._file.name)
        if self._is_removed():
            raise HubError(ErrorCode.DOWNLOAD_REMOVED, name=self._file.name)
        try:
            os.fsync(self._stream.fileno())
            self._stream.close()  # Windows renames no open file
        except OSError as error:
            raise self._write_error(error) from error

    def _is_removed(self) -> bool:
        """Return whether somebody deleted the part, whose bytes would then arrive for nothing."""
        try:
            return not os.path.samestat(os.fstat(self._stream.fileno()), self.path.stat())
        except FileNotFoundError:
            return True
        except OSError:
            return False

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
