"""The files of KV snapshots: one for each chat, checked before use, the least recently used removed first.

A file is the output of llama.cpp followed by metadata: the fingerprint of the model and context to which it
belongs, its tokens, its checksum.
"""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from qwen3_chat.request import PersistenceOptions
from qwen3_chat.texts.formatting import GIB

_FOLDER = "snapshots"
_SUFFIX, _PARTIAL_SUFFIX, _LOADING_SUFFIX = ".kv", ".part", ".loading"
_END = struct.Struct("<I8s")
_MAGIC = b"qwen3kv1"
_MAX_METADATA_BYTES = 1 << 24
_CHUNK_BYTES = 1 << 22
_SPARE_DISK_BYTES = GIB


class SnapshotMetadata(msgspec.Struct, frozen=True, rename={"fingerprint": "origin"}):
    """The metadata of a snapshot; `fingerprint` identifies the model and context to which it belongs."""

    fingerprint: str
    tokens: list[int]
    size_bytes: int
    checksum: int


class Snapshot(Struct, frozen=True):
    """A file in the store."""

    path: Path
    metadata: SnapshotMetadata

    def is_intact(self) -> bool:
        """Return whether the whole file matches its checksum."""
        try:
            return _checksum(self.path, self.metadata.size_bytes) == self.metadata.checksum
        except OSError:
            return False


class KVSnapshotStore:
    """A folder of snapshots with a limit on their total size; only the user can read them.

    After any problem with a file the snapshot counts as missing, and its chat is evaluated again.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    @classmethod
    def from_options(cls, options: PersistenceOptions) -> Self:
        """Create the store in the folder of the options."""
        return cls(Path(options.folder) / _FOLDER, options.snapshots_bytes)

    def find(self, chat_id: int, fingerprint: str) -> Snapshot | None:
        """Return the snapshot of a chat, if its fingerprint matches; remove one that ended a process."""
        if pid := self._loading_pid(chat_id):
            if not _is_running(pid) or pid == str(os.getpid()):
                self.remove(chat_id)
            return None
        path = self._path(chat_id)
        metadata = _read_metadata(path)
        return Snapshot(path, metadata) if metadata and metadata.fingerprint == fingerprint else None

    def has_room_for(self, size_bytes: int) -> bool:
        """Return whether a file of that size could be stored if all others were removed for it."""
        existing = next((folder for folder in (self._folder, *self._folder.parents) if folder.exists()), None)
        try:
            free_bytes = shutil.disk_usage(existing).free if existing else 0
        except OSError:
            return False
        return size_bytes <= min(self._max_bytes, free_bytes - _SPARE_DISK_BYTES)

    def create_partial_file(self, chat_id: int) -> Path:
        """Create an empty file for llama.cpp to write to, before `commit`.

        Raises:
            OSError: the file can't be created.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{chat_id}.{os.getpid()}{_PARTIAL_SUFFIX}"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        return path

    def commit(self, chat_id: int, partial_file: Path, fingerprint: str, tokens: Sequence[int]) -> None:
        """Append the metadata to a partial file, make it the chat's snapshot, and enforce the size limit.

        Raises:
            OSError: the disk is full, or another failure; the partial file has been removed.
        """
        try:
            size_bytes = partial_file.stat().st_size
            metadata = msgspec.json.encode(
                SnapshotMetadata(fingerprint, list(tokens), size_bytes, _checksum(partial_file, size_bytes))
            )
            with partial_file.open("ab") as file:
                file.write(metadata + _END.pack(len(metadata), _MAGIC))
            partial_file.replace(self._path(chat_id))
        finally:
            partial_file.unlink(missing_ok=True)
        self._evict(self._path(chat_id))

    def mark_loading(self, chat_id: int) -> None:
        """Record that a snapshot is being loaded, so that it is not tried again if that ends the process.

        Raises:
            OSError: the record can't be written.
        """
        self._loading_marker(chat_id).write_text(str(os.getpid()), encoding="ascii")

    def mark_loaded(self, chat_id: int) -> None:
        """Record that the load succeeded and that the snapshot was used."""
        with suppress(OSError):
            self._loading_marker(chat_id).unlink(missing_ok=True)
            os.utime(self._path(chat_id))

    def remove(self, chat_id: int) -> None:
        """Remove the snapshot of a chat."""
        for path in (self._path(chat_id), self._loading_marker(chat_id)):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def chat_ids(self) -> set[int]:
        """Return the ids of the chats that have a snapshot."""
        return {int(path.stem) for path in self._files() if path.stem.isdecimal()}

    def remove_abandoned_files(self) -> None:
        """Remove the partial files of processes that have ended."""
        for partial_file in self._folder.glob(f"*{_PARTIAL_SUFFIX}"):
            if not _is_running(partial_file.stem.rpartition(".")[2]):
                with suppress(OSError):
                    partial_file.unlink(missing_ok=True)

    def _evict(self, newest: Path) -> None:
        """Remove the least recently used files until the total size is within the limit."""
        files = []
        for path in self._files():
            with suppress(OSError):
                status = path.stat()
                files.append((path == newest, status.st_mtime_ns, path, status.st_size))
        total_bytes = sum(size_bytes for *_, size_bytes in files)
        for *_, path, size_bytes in sorted(files):
            if total_bytes <= self._max_bytes:
                return
            with suppress(OSError):
                path.unlink(missing_ok=True)
            total_bytes -= size_bytes

    def _loading_pid(self, chat_id: int) -> str:
        """Return the id of the process that began to load a snapshot and did not finish, or an empty text."""
        try:
            return self._loading_marker(chat_id).read_text(encoding="ascii", errors="replace") or "?"
        except OSError:
            return ""

    def _files(self) -> list[Path]:
        return list(self._folder.glob(f"*{_SUFFIX}"))

    def _path(self, chat_id: int) -> Path:
        return self._folder / f"{chat_id}{_SUFFIX}"

    def _loading_marker(self, chat_id: int) -> Path:
        return self._folder / f"{chat_id}{_LOADING_SUFFIX}"


def _read_metadata(path: Path) -> SnapshotMetadata | None:
    """Read the metadata at the end of a snapshot; return None if the file is damaged or cut off."""
    try:
        with path.open("rb") as file:
            end = file.seek(-_END.size, os.SEEK_END)
            length, magic = _END.unpack(file.read(_END.size))
            if magic != _MAGIC or length > min(end, _MAX_METADATA_BYTES):
                return None
            file.seek(end - length)
            metadata = msgspec.json.decode(file.read(length), type=SnapshotMetadata)
    except (OSError, ValueError, msgspec.MsgspecError):
        return None
    return metadata if metadata.size_bytes == end - length else None


def _checksum(path: Path, size_bytes: int) -> int:
    checksum = 0
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    with path.open("rb", buffering=0) as file:
        while size_bytes > 0 and (read_bytes := file.readinto(buffer[: min(size_bytes, _CHUNK_BYTES)])):
            checksum = zlib.crc32(buffer[:read_bytes], checksum)
            size_bytes -= read_bytes
    return checksum


_PID_DIGITS = 10  # a number of 32 bits, as the system's functions take


def _is_running(pid: str) -> bool:
    import psutil  # here: few starts find an unfinished snapshot

    return pid.isdecimal() and len(pid) < _PID_DIGITS and psutil.pid_exists(int(pid))
