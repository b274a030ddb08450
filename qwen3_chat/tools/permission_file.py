"""The file of the standing permissions, which hold in every chat until they are revoked.

It belongs to this machine and user: no export, backup or import of chats touches it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import StoreError
from qwen3_chat.private_file import write_private_file
from qwen3_chat.tools.permissions import MAX_LIMIT_CHARS, Permission, PermissionScope

MAX_PERMISSIONS: Final = 200
"""The most permissions in the file; one more removes the oldest."""

MAX_PERMISSION_FILE_BYTES: Final = 1 << 22
_MAX_NAME_CHARS: Final = 300
_LOCK_TIMEOUT_S: Final = 5.0


class _StoredPermission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tool: Annotated[str, msgspec.Meta(min_length=1, max_length=_MAX_NAME_CHARS)]
    definition_hash: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    scope: Literal["arguments", "host", "folder"]
    value: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LIMIT_CHARS)]


class _StoredPermissions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    permissions: Annotated[tuple[_StoredPermission, ...], msgspec.Meta(max_length=MAX_PERMISSIONS)]


class PermissionFile:
    """The standing permissions in a file, oldest first; each read sees the changes of other processes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[Permission, ...]:
        """Return the standing permissions; none without a file.

        Raises:
            StoreError: the file is damaged or can't be read, so that nothing is allowed.
        """
        try:
            with self._path.open("rb") as file:
                content = file.read(MAX_PERMISSION_FILE_BYTES + 1)
            if len(content) > MAX_PERMISSION_FILE_BYTES:
                raise ValueError(f"> {MAX_PERMISSION_FILE_BYTES:,} bytes")
            stored = msgspec.json.decode(content, type=_StoredPermissions)
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise StoreError(ErrorCode.PERMISSIONS_UNREADABLE, path=self._path, reason=reason) from error
        return tuple(
            Permission(entry.tool, entry.definition_hash, PermissionScope(entry.scope), entry.value)
            for entry in stored.permissions
        )

    def add(self, permission: Permission) -> None:
        """Store a permission.

        Raises:
            StoreError: the file can't be written.
        """
        self._change(
            lambda stored: (*(other for other in stored if other != permission), permission)[
                -MAX_PERMISSIONS:
            ]
        )

    def revoke(self, tool: str | None = None) -> int:
        """Remove the permissions of a tool, or all; return how many there were.

        Raises:
            StoreError: the file can't be written.
        """
        return self._change(lambda stored: tuple(p for p in stored if tool is not None and p.tool != tool))

    def _change(self, change: Callable[[tuple[Permission, ...]], tuple[Permission, ...]]) -> int:
        """Replace the permissions by changed ones; return how many fewer there are.

        A damaged file counts as empty and is put aside. A lock keeps two processes from undoing each other's
        change.
        """
        from filelock import FileLock, Timeout  # here: most commands change nothing

        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(f"{self._path}.lock", timeout=_LOCK_TIMEOUT_S, mode=0o600):
                before: tuple[Permission, ...] = ()
                try:
                    before = self.read()
                except StoreError:
                    with suppress(OSError):
                        self._path.replace(self._path.with_name(f"{self._path.name}.damaged"))
                after = change(before)
                if after != before:
                    write_private_file(self._path, _encode(after))
                return len(before) - len(after)
        except (OSError, Timeout) as error:
            reason = getattr(error, "strerror", None) or error
            raise StoreError(ErrorCode.PERMISSIONS_NOT_SAVED, path=self._path, reason=reason) from error


def _encode(permissions: tuple[Permission, ...]) -> bytes:
    return msgspec.json.format(msgspec.json.encode({"version": 1, "permissions": permissions}))
