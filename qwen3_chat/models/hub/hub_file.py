"""A file of a repository, identified by its size and checksum."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import HubError, UsageError

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_UNSAFE = re.compile(r'[\\:*?"<>|\x00-\x1f\x7f]')


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository; bytes from anywhere are this file only if size and checksum agree.

    `revision` is a commit on Hugging Face; None stands for the newest.

    Raises:
        HubError: the path would leave the repository's folder, or the checksum is not one.
    """

    repository: str
    path: str
    size_bytes: int
    sha256: str
    revision: str | None = None

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.path).parts
        if not parts or self.path.startswith("/") or ".." in parts or _UNSAFE.search(self.path):
            raise HubError(ErrorCode.FILE_PATH_UNSAFE, path=repr(self.path), repository=self.repository)
        if not _SHA256.fullmatch(self.sha256):
            raise HubError(ErrorCode.CHECKSUM_MISSING, path=self.path)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return PurePosixPath(self.path).name


def checked_repository(name: str) -> str:
    """Return the name of a repository, `owner/name`, once it is checked.

    Raises:
        UsageError: it is not the name of one.
    """
    if not _REPOSITORY.fullmatch(name) or ".." in name:
        raise UsageError(ErrorCode.REPOSITORY_NAME_INVALID, name=name)
    return name
