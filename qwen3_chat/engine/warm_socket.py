"""The sockets of warm engines: private to a user, one for each home and version of the app."""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

FOLDER_NAME: Final = "qwen3-chat"
MAX_PATH_BYTES: Final = 100
"""The longest path that every system takes for a socket, its final zero included: macOS has 104."""

_BACKLOG = 64
_DIGEST_LENGTH = 16
_SUFFIX = ".sock"


class WarmSocketError(Exception):
    """A folder for sockets that can't be used; the message is the system's reason."""


class WarmSocket(Struct, frozen=True):
    """The place of a socket; `home` tells apart the sockets of one user's homes."""

    folder: Path
    home: str
    version: str

    @classmethod
    def find(cls, home: Path, version: str, environ: Mapping[str, str] = os.environ) -> WarmSocket:
        """Return the place for a home and a version of the app, without making anything."""
        import hashlib

        digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:_DIGEST_LENGTH]
        found = cls(Path(), digest, version)
        for folder in _folders(environ):
            found = cls(folder, digest, version)
            if len(os.fsencode(found.path)) <= MAX_PATH_BYTES:
                break
        return found

    @property
    def path(self) -> Path:
        """The socket of this version."""
        return self.folder / f"{self.home}-{self.version}{_SUFFIX}"

    def paths(self) -> list[Path]:
        """Return the sockets of this home, those of other versions included."""
        return sorted(self.folder.glob(f"{self.home}-*{_SUFFIX}"))

    def require_private_folder(self, *, make: bool = False) -> None:
        """Make sure that nobody else can get at the folder, which may not exist yet.

        Raises:
            WarmSocketError: it can't be made, or it is not private to this user.
        """
        try:
            if make:
                with suppress(FileExistsError):
                    self.folder.mkdir(mode=0o700)
            facts = self.folder.lstat()
        except OSError as error:
            raise WarmSocketError(f"{self.folder}: {error.strerror}") from error
        is_private = stat.S_ISDIR(facts.st_mode) and not stat.S_IMODE(facts.st_mode) & 0o077
        if not is_private or facts.st_uid != user_id():
            raise WarmSocketError(f"{self.folder} is not private")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock under which a socket is made or replaced.

        Raises:
            OSError: the lock can't be had.
        """
        import fcntl  # here: Windows has none, and no warm engines either

        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def listen(self) -> socket.socket:
        """Make the socket, in the place of one that nobody listens at any more.

        Raises:
            OSError: it can't be made.
        """
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(os.fspath(self.path))
            self.path.chmod(0o600)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
        return listener


def _folders(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield where the folder may be, the best place first; one that is too long gives way to the last."""
    if (runtime := Path(environ.get("XDG_RUNTIME_DIR", ""))).is_absolute() and runtime.is_dir():
        yield runtime / FOLDER_NAME
    name = f"{FOLDER_NAME}-{user_id()}"
    yield Path(tempfile.gettempdir()) / name
    yield Path("/tmp") / name


def user_id() -> int:
    """Return the id of this process's user; 0 on Windows, where there are no warm engines."""
    return 0 if sys.platform == "win32" else os.getuid()


def peer_user_id(connection: Any, platform: str = sys.platform) -> int | None:
    """Return the id of the user at the other end of a socket; None where the system does not tell."""
    try:
        if platform == "linux":
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            return int(struct.unpack("3i", credentials)[1])
        credentials = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES)
        version, user = struct.unpack_from("=II", credentials)
        return int(user) if version == 0 else None
    except (OSError, struct.error):
        return None


# macOS and the BSDs: struct xucred, which begins with its version, 0, and the effective user
_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES = 0, 1, 76
