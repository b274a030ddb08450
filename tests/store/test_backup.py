"""The whole store as one file, and back."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import zipfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qwen3_chat.chat import ChatMessage, Role
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ChatImportError, Qwen3ChatError, StoreError
from qwen3_chat.store import ChatStore, backup
from qwen3_chat.store.backup import RestoredStore, restore_backup, write_backup
from qwen3_chat.store.records import CallRecord, MessageMeta, WholeResult

NOW = datetime(2026, 5, 1, tzinfo=UTC)


async def fill(store: ChatStore, text: str) -> WholeResult:
    """Store a chat with a whole result and a file that a tool wrote; return the result."""
    chat = await store.create_chat()
    whole = await store.save_result(chat.id, f"long {text}")
    question = await store.add_message(chat.id, None, ChatMessage(Role.USER, text))
    meta = MessageMeta(call=CallRecord(0, "f", "{}", "allow", whole=whole))
    await store.add_message(chat.id, question.id, ChatMessage(Role.TOOL, "cut"), meta)
    folder = store.chat_folder(chat.id) / "plots"
    folder.mkdir()
    (folder / "图 1.txt").write_text(text, "utf-8")
    (folder / "link").symlink_to("/etc/passwd")
    return whole


async def back_up(data: Path, target: Path) -> Path:
    store = await ChatStore.open(data / "chats.db")
    copy = target.with_suffix(".copy")
    await store.copy_to(copy)
    await store.close()
    with target.open("wb") as file:
        write_backup(file, copy, data, NOW)
    return target


async def titles(data: Path) -> list[str]:
    store = await ChatStore.open(data / "chats.db")
    chats = await store.chats()
    await store.close()
    return [chat.title for chat in chats]


async def make(data: Path, *texts: str) -> list[WholeResult]:
    store = await ChatStore.open(data / "chats.db")
    results = [await fill(store, text) for text in texts]
    await store.close()
    return results


def restore(path: Path, data: Path, *, replaces: bool = False) -> RestoredStore:
    return restore_backup(path, data / "chats.db", NOW, replaces=replaces)


async def test_all_comes_back_on_another_machine(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    results = await make(here, "a", "b")
    file = await back_up(here, tmp_path / "backup.zip")
    assert restore(file, there) == RestoredStore(2, None)
    assert await titles(there) == ["b", "a"]
    store = await ChatStore.open(there / "chats.db")
    for result, text in zip(results, ("long a", "long b"), strict=True):
        path = store.result_path(result)
        assert path is not None
        assert path.read_text() == text
    written = store.files_path(1) / "plots" / "图 1.txt"
    assert written.read_text() == "a"
    assert not (written.parent / "link").exists(), "a link leads out of the store"
    for path in (there / "chats.db", written):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await store.close()


async def test_chats_are_replaced_only_if_that_is_said_and_are_kept(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    await make(here, "new")
    file = await back_up(here, tmp_path / "backup.zip")
    (old_result,) = await make(there, "old")
    with pytest.raises(StoreError) as caught:
        restore(file, there)
    assert caught.value.code is ErrorCode.RESTORE_WOULD_REPLACE
    assert await titles(there) == ["old"]
    restored = restore(file, there, replaces=True)
    assert await titles(there) == ["new"]
    assert restored.previous is not None
    assert await titles(restored.previous) == ["old"]
    assert (restored.previous / "chat_files" / "1" / "plots" / "图 1.txt").read_text() == "old"
    assert (there / "chat_files" / "1" / "plots" / "图 1.txt").read_text() == "new"
    assert (there / "results" / old_result.sha256).exists(), "results are of both"
    restore(file, there, replaces=True)
    assert len(list(there.glob("before-restore-*"))) == 2
    assert [path.name for path in there.iterdir() if path.name.startswith(".")] == []


async def test_a_store_that_is_open_elsewhere_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    await make(here, "new")
    file = await back_up(here, tmp_path / "backup.zip")
    monkeypatch.setattr(backup, "_BUSY_TIMEOUT_S", 0.0)
    store = await ChatStore.open(there / "chats.db")
    await fill(store, "old")
    with pytest.raises(StoreError) as caught:
        restore(file, there, replaces=True)
    assert caught.value.code is ErrorCode.CHAT_DATABASE_BUSY
    await fill(store, "goes on")
    await store.close()
    assert await titles(there) == ["goes on", "old"]


async def test_a_damaged_store_is_put_aside(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    await make(here, "new")
    file = await back_up(here, tmp_path / "backup.zip")
    there.mkdir()
    (there / "chats.db").write_bytes(b"no database")
    with pytest.raises(StoreError):
        restore(file, there)
    restored = restore(file, there, replaces=True)
    assert await titles(there) == ["new"]
    assert restored.previous is not None
    assert (restored.previous / "chats.db").read_bytes() == b"no database"


def rewritten(source: Path, target: Path, **changes: bytes | None) -> Path:
    """Write a backup anew with other contents for some entries; None leaves one out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        entries = {name: old.read(name) for name in old.namelist()}
        for name, content in {**entries, **changes}.items():
            if content is not None:
                new.writestr(name, content)
    return target


def database(folder: Path, *statements: str) -> bytes:
    path = folder / "other.db"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path.read_bytes()


async def test_what_is_no_whole_backup_changes_nothing(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    await make(here, "new")
    await make(there, "old")
    file = await back_up(here, tmp_path / "backup.zip")
    with zipfile.ZipFile(file) as archive:
        real = archive.read("chats.db")
    chats = "CREATE TABLE chats (id INTEGER, deleted_at INTEGER)"
    ours = "PRAGMA application_id = 1362322280"
    trigger = "CREATE TRIGGER t AFTER INSERT ON chats BEGIN DELETE FROM chats; END"
    changes: list[tuple[dict[str, bytes | None], ErrorCode]] = [
        ({"manifest.json": None}, ErrorCode.BACKUP_INVALID),
        ({"manifest.json": b"{}"}, ErrorCode.BACKUP_INVALID),
        ({"manifest.json": b'{"format": "x", "version": 1}'}, ErrorCode.BACKUP_INVALID),
        ({"manifest.json": b'{"format": "qwen3-chat-backup", "version": 2}'}, ErrorCode.BACKUP_NEWER),
        ({"chats.db": None}, ErrorCode.BACKUP_INVALID),
        ({"chats.db": b"no database"}, ErrorCode.BACKUP_INVALID),
        ({"chats.db": real[: len(real) // 2]}, ErrorCode.BACKUP_INVALID),
        ({"chats.db": database(tmp_path, chats)}, ErrorCode.BACKUP_INVALID),
        ({"chats.db": database(tmp_path, chats, ours, trigger)}, ErrorCode.BACKUP_INVALID),
        ({"chats.db": database(tmp_path, chats, ours, "PRAGMA user_version = 99")}, ErrorCode.BACKUP_NEWER),
    ]
    for number, (change, code) in enumerate(changes):
        bad = rewritten(file, tmp_path / f"bad{number}.zip", **change)
        with pytest.raises(Qwen3ChatError) as caught:
            restore(bad, there, replaces=True)
        assert (number, caught.value.code) == (number, code)
    for content in (b"", b"text", file.read_bytes()[:-100]):
        (tmp_path / "cut.zip").write_bytes(content)
        with pytest.raises(ChatImportError) as caught:
            restore(tmp_path / "cut.zip", there, replaces=True)
        assert caught.value.code is ErrorCode.BACKUP_INVALID
    with pytest.raises(ChatImportError):
        restore(tmp_path / "missing.zip", there, replaces=True)
    assert await titles(there) == ["old"]
    assert sorted(path.name for path in there.iterdir()) == ["chat_files", "chats.db", "results"]


async def test_entries_that_lead_elsewhere_are_ignored(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    await make(here, "new")
    file = await back_up(here, tmp_path / "backup.zip")
    names = ["../evil", "chat_files/../../evil", "/evil", "chat_files/1/../../../evil", "results/../evil"]
    names += ["chat_files/evil", "permissions.json", "chat_files/x/evil", "chat_files/1/a\\..\\evil"]
    with zipfile.ZipFile(file, "a") as archive:
        for name in names:
            archive.writestr(name, "evil")
    restore(file, there)
    written = [Path(folder, name) for folder, _, names in os.walk(tmp_path) for name in names]
    assert [path for path in written if "evil" in path.name] == []
    assert not (there / "permissions.json").exists()


async def test_a_backup_that_unpacks_into_too_much_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(tmp_path / "here", "new")
    file = await back_up(tmp_path / "here", tmp_path / "backup.zip")
    monkeypatch.setattr(backup, "MAX_BACKUP_BYTES", 10_000)
    with pytest.raises(ChatImportError) as caught:
        restore(file, tmp_path / "there")
    assert caught.value.code is ErrorCode.BACKUP_TOO_LARGE
    monkeypatch.setattr(backup, "MAX_BACKUP_ENTRIES", 2)
    with pytest.raises(ChatImportError) as caught:
        restore(file, tmp_path / "there")
    assert caught.value.code is ErrorCode.BACKUP_INVALID


async def test_a_backup_is_a_copy_of_one_moment_while_the_app_goes_on(tmp_path: Path) -> None:
    store = await ChatStore.open(tmp_path / "here" / "chats.db")
    await fill(store, "before")
    copy = tmp_path / "copy.db"
    await store.copy_to(copy)
    await fill(store, "after")
    await store.close()
    target = tmp_path / "backup.zip"
    with target.open("wb") as file:
        write_backup(file, copy, tmp_path / "here", NOW)
    restore(target, tmp_path / "there")
    assert await titles(tmp_path / "there") == ["before"]
    with zipfile.ZipFile(target) as archive:
        assert json.loads(archive.read("manifest.json"))["format"] == "qwen3-chat-backup"
