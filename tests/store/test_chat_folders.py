"""The folders of the files that tools write in a chat."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from qwen3_chat.store import ChatStore
from qwen3_chat.store.chat_folders import ChatFolders


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_only_the_user_can_read_a_folder(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir(mode=0o755)
    folder = ChatFolders(tmp_path / "files").make(7)
    assert (folder.name, folder.stat().st_mode & 0o777, folder.parent.stat().st_mode & 0o777) == (
        "7",
        0o700,
        0o700,
    )


def test_other_names_are_no_chats(tmp_path: Path) -> None:
    for name in ("1", "²", "x", "-1", ".tmp"):
        (tmp_path / name).mkdir()
    assert ChatFolders(tmp_path).chat_ids() == {1}
    assert ChatFolders(tmp_path / "none").chat_ids() == frozenset()


async def test_a_folder_goes_when_its_chat_is_purged_and_not_before(tmp_path: Path) -> None:
    moments = [datetime(2026, 1, 1, tzinfo=UTC)]
    store = await ChatStore.open(tmp_path / "chats.db", clock=lambda: moments[0])
    stays, goes = await store.create_chat(), await store.create_chat()
    for chat in (stays, goes):
        (store.chat_folder(chat.id) / "plot.png").write_bytes(b"x")
    (store.chat_folder(999) / "left.txt").write_bytes(b"x")
    link = store.chat_folder(goes.id) / "link"
    if hasattr(os, "symlink"):
        link.symlink_to(tmp_path / "chats.db")
    await store.delete_chat(goes.id)
    await store.purge_deleted(timedelta(days=30))
    names = sorted(path.name for path in (tmp_path / "chat_files").iterdir())
    assert names == sorted([str(stays.id), str(goes.id)])
    moments[0] += timedelta(days=31)
    await store.purge_deleted(timedelta(days=30))
    assert [path.name for path in (tmp_path / "chat_files").iterdir()] == [str(stays.id)]
    assert (tmp_path / "chats.db").exists()
    await store.close()
