"""Whole results: the files of what was cut for the model."""

from __future__ import annotations

import os
import stat
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from qwen3_chat.chat import ChatMessage, Role
from qwen3_chat.store import ChatStore, MessageMeta, StoredMessage, result_files
from qwen3_chat.store.records import CallRecord, WholeResult
from tests.store.clock import Clock

LONG = "A line.\n" * 1000
MONTH = timedelta(days=30)


async def add_result(store: ChatStore, chat_id: int, whole: WholeResult) -> StoredMessage:
    meta = MessageMeta(call=CallRecord(0, "fetch", "{}", "allow", whole=whole))
    return await store.add_message(chat_id, None, ChatMessage(Role.TOOL, "A line.\n[more]"), meta)


async def kept(store: ChatStore, text: str = LONG) -> tuple[int, Path]:
    """Save a result in a new chat; return the chat and the file."""
    chat = await store.create_chat()
    whole = await store.save_result(chat.id, text)
    await add_result(store, chat.id, whole)
    path = store.result_path(whole)
    assert path is not None
    return chat.id, path


def make_old(file: Path, clock: Clock) -> None:
    written_s = clock.now.timestamp()
    os.utime(file, (written_s, written_s))


async def test_a_result_is_a_file_of_its_hash_that_only_the_user_reads(store: ChatStore, path: Path) -> None:
    chat = await store.create_chat()
    whole = await store.save_result(chat.id, LONG)
    file = store.result_path(whole)
    assert file == path.parent / "results" / sha256(LONG.encode()).hexdigest()
    assert file.read_text("utf-8") == LONG
    assert (whole.characters, whole.size_bytes) == (len(LONG), len(LONG.encode()))
    if os.name == "posix":
        modes = [stat.S_IMODE(place.stat().st_mode) for place in (file.parent, file)]
        assert modes == [0o700, 0o600]


async def test_the_record_comes_back_with_the_message(store: ChatStore) -> None:
    chat = await store.create_chat()
    whole = await store.save_result(chat.id, LONG)
    stored = await add_result(store, chat.id, whole)
    call = (await store.message(stored.id)).meta.call
    assert call is not None
    assert call.whole == whole


async def test_a_file_holds_nothing_that_steers_a_terminal(store: ChatStore) -> None:
    _, file = await kept(store, "\x1b]52;c;eA==\x07\ud800\x9b31m\r\n" * 10)
    assert file.read_text("utf-8") == "\ufffd]52;c;eA==\ufffd\ufffd\ufffd31m\n" * 10


async def test_equal_results_share_a_file_until_no_chat_has_them(
    store: ChatStore, clock: Clock, path: Path
) -> None:
    first, file = await kept(store)
    second, same = await kept(store)
    assert same == file
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]
    make_old(file, clock)
    await store.delete_chat(first)
    clock.now += MONTH * 2
    await store.purge_deleted(MONTH)
    assert file.exists()
    await store.delete_chat(second)
    clock.now += MONTH * 2
    await store.purge_deleted(MONTH)
    assert not file.exists()


async def test_a_deleted_chat_comes_back_with_its_results(store: ChatStore, clock: Clock) -> None:
    chat_id, file = await kept(store)
    make_old(file, clock)
    await store.delete_chat(chat_id)
    clock.now += MONTH / 2
    await store.purge_deleted(MONTH)
    await store.restore_chat(chat_id)
    assert file.read_text("utf-8") == LONG


async def test_a_deleted_message_takes_its_result_along_once_it_is_purged(
    store: ChatStore, clock: Clock
) -> None:
    chat_id, file = await kept(store)
    make_old(file, clock)
    (message,) = await store.branch(chat_id)
    await store.delete_messages(chat_id, [message.id], None)
    await store.purge_deleted(MONTH)
    assert file.exists()
    clock.now += MONTH * 2
    await store.purge_deleted(MONTH)
    assert not file.exists()


async def test_a_file_that_no_message_has_yet_is_safe_until_it_is_old(store: ChatStore, clock: Clock) -> None:
    chat = await store.create_chat()
    file = store.result_path(await store.save_result(chat.id, LONG))
    assert file is not None
    unfinished, foreign = file.with_name("0123.part"), file.with_name("notes.txt")
    for name in (unfinished, foreign):
        name.write_text("", "utf-8")
    for place in (file, unfinished, foreign):
        make_old(place, clock)
    await store.purge_deleted(MONTH)
    assert file.exists()
    clock.now += MONTH * 2
    await store.purge_deleted(MONTH)
    assert [entry.name for entry in file.parent.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("MAX_RESULT_BYTES", "too_large"),
        ("MAX_CHAT_BYTES", "chat_full"),
        ("MAX_TOTAL_BYTES", "all_full"),
    ],
)
async def test_a_result_over_a_limit_is_not_saved_and_says_why(
    store: ChatStore, monkeypatch: pytest.MonkeyPatch, limit: str, reason: str
) -> None:
    chat_id, file = await kept(store)
    monkeypatch.setattr(result_files, limit, len(LONG) + 10)
    whole = await store.save_result(chat_id, "字" * len(LONG))
    assert whole == WholeResult(len(LONG), not_saved=reason)
    assert store.result_path(whole) is None
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]
    assert "was not saved: " in result_files.whole_result_note(whole, store.result_path)


async def test_each_chat_has_a_limit_of_its_own(store: ChatStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_files, "MAX_CHAT_BYTES", len(LONG) + 10)
    full, _ = await kept(store)
    other = await store.create_chat()
    assert (await store.save_result(full, LONG[1:])).not_saved == "chat_full"
    assert (await store.save_result(other.id, LONG[1:])).not_saved == ""


async def test_a_folder_that_cannot_be_written_keeps_nothing_and_raises_nothing(
    store: ChatStore, path: Path
) -> None:
    chat = await store.create_chat()
    (path.parent / "results").write_text("a file in the way", "utf-8")
    assert await store.save_result(chat.id, LONG) == WholeResult(len(LONG), not_saved="not_written")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full")
async def test_a_full_disk_leaves_no_part_of_a_file(
    store: ChatStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await store.create_chat()
    open_file = os.open

    def open_full(name: Path, flags: int, mode: int = 0o777) -> int:
        if str(name).endswith(".part"):
            os.close(open_file(name, flags, mode))
            return open_file("/dev/full", os.O_WRONLY)
        return open_file(name, flags, mode)

    monkeypatch.setattr(os, "open", open_full)
    assert (await store.save_result(chat.id, LONG)).not_saved == "not_written"
    assert list((path.parent / "results").iterdir()) == []


@pytest.mark.parametrize("sha256", ["", "../chats.db", "0" * 63, "0" * 64 + "/..", "A" * 64])
async def test_a_hash_that_somebody_else_wrote_leads_to_no_other_file(store: ChatStore, sha256: str) -> None:
    assert store.result_path(WholeResult(1, sha256)) is None
