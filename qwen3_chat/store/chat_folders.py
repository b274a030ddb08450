"""The folders of the files that tools write, one for each chat; it goes when its chat is purged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

_OWNER_ONLY: Final = 0o700


class ChatFolders:
    """A folder with one folder for each chat; only the user can read them. Its methods block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, chat_id: int) -> Path:
        """Return the folder of a chat, which may not exist."""
        return self.folder / str(chat_id)

    def make(self, chat_id: int) -> Path:
        """Return the folder of a chat, made if it does not exist.

        Raises:
            OSError: it can't be made.
        """
        for folder in (self.folder, self.path(chat_id)):
            folder.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
            if os.name == "posix" and folder.stat().st_mode & 0o777 != _OWNER_ONLY:
                folder.chmod(_OWNER_ONLY)
        return self.path(chat_id)

    def chat_ids(self) -> frozenset[int]:
        """Return the ids of the chats that have a folder."""
        names = list[str]()
        with suppress(OSError), os.scandir(self.folder) as entries:
            names = [entry.name for entry in entries]
        return frozenset(int(name) for name in names if name.isascii() and name.isdecimal())

    def remove(self, chat_ids: Collection[int]) -> None:
        """Remove the folders of chats with all that is in them."""
        for chat_id in chat_ids:
            shutil.rmtree(self.path(chat_id), ignore_errors=True)
