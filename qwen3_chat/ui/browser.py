"""The app in a browser: other keys, since some are the browser's, and files that it is given."""

from __future__ import annotations

import os
from collections.abc import Collection
from io import BytesIO
from pathlib import Path
from typing import Final

from textual.app import App

from qwen3_chat.documents.attachments import Attachment
from qwen3_chat.documents.file_text import read_open_file
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.record_copies import replace
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import storable, terminal_safe
from qwen3_chat.tools.allowed_folders import AllowedFolders
from qwen3_chat.tools.tool import ToolError
from qwen3_chat.ui.attachable_files import list_attachable_files
from qwen3_chat.ui.keymap import Keymap

NOT_IN_BROWSER: Final = frozenset({"editor", "suspend"})
"""The actions that make no sense there, by their names: there is no terminal that a program could take."""

BROWSER_KEYS: Final = {"toggle_mode": "alt+k,ctrl+t", "new_chat": "alt+n,ctrl+n", "retry": "alt+r"}
"""Keys for what browsers do not pass on in a tab: a new tab, a new window, loading the page again."""


def browser_keymap(keymap: Keymap, configured: Collection[str]) -> Keymap:
    """Return the keymap with keys that a browser passes on, unless the user has configured these actions."""
    taken = {key for name in configured for key in keymap.keys.get(name, "").split(",")}
    added = {
        name: keys
        for name, keys in BROWSER_KEYS.items()
        if name not in configured and taken.isdisjoint(keys.split(","))
    }
    return replace(keymap, keys={**keymap.keys, **added})


def download_text(app: App[None], text: str, name: str) -> None:
    """Have the browser save a text as a file."""
    download_file(app, BytesIO(storable(text).encode()), name)


def download_file(app: App[None], file: Path | BytesIO, name: str) -> None:
    """Have the browser save a file under a name, and notify of it.

    Raises:
        OSError: it can't be read or copied.
    """
    app.deliver_binary(file, save_filename=name)
    app.notify(terminal_safe(name), title=t("ui.notice.downloaded"), timeout=10)


def read_allowed_attachment(file: Path, folders: AllowedFolders) -> Attachment:
    """Read a file of a folder that tools may read, as `read_attachment` reads any.

    Raises:
        UsageError: it is in no such folder, or can't be read.
    """
    try:
        with folders.open(str(file.absolute())) as descriptor, open(os.dup(descriptor), "rb") as stream:
            return read_open_file(stream, file)
    except ToolError as error:
        raise UsageError(ErrorCode.FILE_NOT_ALLOWED, file=file) from error


def list_allowed_files(folders: AllowedFolders) -> list[str]:
    """Return the whole paths of the files that can be attached by name; too slow for the event loop."""
    return [f"{folder}/{name}" for folder in folders.folders for name in list_attachable_files(folder)]
