"""`qwen3-chat backup` and `qwen3-chat restore`: the whole store in one file."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from qwen3_chat.cli.stored_chats import open_store
from qwen3_chat.config import find_paths
from qwen3_chat.documents.new_file import make_new_file
from qwen3_chat.store.backup import restore_backup, write_backup
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import terminal_safe


def back_up(output: Path | None) -> None:
    """Write the store to a new zip, which never replaces another file.

    Raises:
        StoreError: the chats can't be read.
        ExportError: the file can't be written.
    """
    now = datetime.now().astimezone()
    chats_file = find_paths().chats_file
    with tempfile.TemporaryDirectory(prefix="qwen3-chat-") as folder:
        copy = Path(folder) / chats_file.name
        asyncio.run(_copy_database(copy))
        path = make_new_file(
            output or Path.cwd(),
            f"qwen3-chat-{now:%Y-%m-%d}.zip",
            lambda file: write_backup(file, copy, chats_file.parent, now),
        )
    print(terminal_safe(t("cli.exported", path=path)), file=sys.stderr)


async def _copy_database(copy: Path) -> None:
    async with open_store() as store:
        await store.copy_to(copy)


def restore_file(path: Path, *, replaces: bool) -> None:
    """Put a backup in the place of the store, and say where the old one is.

    Raises:
        StoreError: there are chats that may not be replaced, or that another process has open.
        ChatImportError: it is no backup that this app can read; nothing has changed.
    """
    restored = restore_backup(path, find_paths().chats_file, datetime.now().astimezone(), replaces=replaces)
    print(t("cli.restored", count=restored.n_chats))
    if restored.previous is not None:
        print(terminal_safe(t("cli.restored_before", path=restored.previous)), file=sys.stderr)
