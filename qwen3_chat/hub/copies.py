"""A file that may be here already: whether it is the one, and how it gets its place."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from qwen3_chat.errors import HubError
from qwen3_chat.hub.files import HubFile

_STEP_BYTES = 4 << 20


class FileCheck:
    """Compares size and checksum, a few milliseconds at a time; a file that can't be read isn't the one."""

    def __init__(self, path: Path, file: HubFile) -> None:
        self._path = path
        self._file = file
        self._stream: BinaryIO | None = None
        self._sum = hashlib.sha256()
        self.done_bytes = 0
        self.is_the_file = False

    def step(self) -> bool:
        """Check some more; tell whether there is more to check."""
        try:
            if self._stream is None:
                if self._path.stat().st_size != self._file.size_bytes:
                    return False
                self._stream = self._path.open("rb")
            data = self._stream.read(_STEP_BYTES)
        except OSError:
            return False
        self._sum.update(data)
        self.done_bytes += len(data)
        if not data:
            self.is_the_file = self._sum.hexdigest() == self._file.sha256
        return bool(data)

    def close(self) -> None:
        """Let go of the file."""
        if self._stream is not None:
            self._stream.close()


def link(copy: Path, target: Path) -> bool:
    """Give a copy a second name; tell whether the file system can do that."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.symlink_to(copy.absolute())
        except OSError:  # Windows lets only some users make them
            target.hardlink_to(copy)
    except OSError:
        return False
    return True


def make_way(target: Path) -> None:
    """Remove what has a name without being the file: a damaged one, a link that leads nowhere.

    Raises:
        HubError: it can't be removed.
    """
    try:
        target.unlink(missing_ok=True)
    except OSError as error:
        raise HubError("hub.unwritable", path=target, reason=error.strerror or error) from error
