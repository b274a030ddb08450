from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qwen3_chat.engine.kv_snapshot_store import KVSnapshotStore

FINGERPRINT = "model and build"
DATA = bytes(range(256)) * 8
TOKENS = [1, 2, 3]


@pytest.fixture
def store(tmp_path: Path) -> KVSnapshotStore:
    return KVSnapshotStore(tmp_path / "snapshots", 3 * len(DATA))


def save(store: KVSnapshotStore, chat_id: int, data: bytes = DATA) -> None:
    partial_file = store.create_partial_file(chat_id)
    partial_file.write_bytes(data)
    store.commit(chat_id, partial_file, FINGERPRINT, TOKENS)


def make_older(store: KVSnapshotStore, chat_id: int, seconds: int) -> None:
    """Set the time of last use of a snapshot back."""
    snapshot = store.find(chat_id, FINGERPRINT)
    assert snapshot
    then_s = snapshot.path.stat().st_mtime - seconds
    os.utime(snapshot.path, (then_s, then_s))


@pytest.fixture
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_was_filed_is_found_as_it_was(store: KVSnapshotStore) -> None:
    save(store, 7)
    snapshot = store.find(7, FINGERPRINT)
    assert snapshot
    assert snapshot.metadata.tokens == TOKENS
    assert snapshot.path.read_bytes().startswith(DATA)
    assert snapshot.is_intact()


@pytest.mark.parametrize("size_bytes", [0, 1, 11, 12, len(DATA), -1])
def test_what_was_cut_off_is_not_found(store: KVSnapshotStore, size_bytes: int) -> None:
    save(store, 7)
    snapshot = store.find(7, FINGERPRINT)
    assert snapshot
    whole = snapshot.path.read_bytes()
    snapshot.path.write_bytes(whole[:size_bytes])
    assert store.find(7, FINGERPRINT) is None


def test_one_byte_that_changed_is_noticed(store: KVSnapshotStore) -> None:
    save(store, 7)
    snapshot = store.find(7, FINGERPRINT)
    assert snapshot
    data = bytearray(snapshot.path.read_bytes())
    data[len(DATA) // 2] ^= 1
    snapshot.path.write_bytes(data)
    assert not snapshot.is_intact()


def test_there_is_one_snapshot_a_chat_and_each_fits_one_fingerprint(store: KVSnapshotStore) -> None:
    save(store, 7)
    save(store, 7, DATA[:100])
    save(store, 8)
    snapshot = store.find(7, FINGERPRINT)
    assert snapshot
    assert snapshot.metadata.size_bytes == 100
    assert store.find(7, "another model") is None
    assert store.find(9, FINGERPRINT) is None
    assert store.chat_ids() == {7, 8}


def test_the_least_used_make_room_for_the_newest(store: KVSnapshotStore) -> None:
    save(store, 1)
    save(store, 2)
    make_older(store, 1, 20)
    make_older(store, 2, 30)
    store.mark_loading(2)
    store.mark_loaded(2)
    save(store, 3)
    assert store.chat_ids() == {2, 3}


def test_what_is_larger_than_the_whole_store_has_no_room(store: KVSnapshotStore) -> None:
    assert store.has_room_for(3 * len(DATA))
    assert not store.has_room_for(3 * len(DATA) + 1)


def test_what_ended_a_process_is_dropped(store: KVSnapshotStore, tmp_path: Path, dead_pid: int) -> None:
    save(store, 7)
    (tmp_path / "snapshots" / "7.loading").write_text(str(dead_pid))
    assert store.find(7, FINGERPRINT) is None
    assert list((tmp_path / "snapshots").iterdir()) == []


def test_what_another_process_is_loading_is_left_to_it(store: KVSnapshotStore, tmp_path: Path) -> None:
    save(store, 7)
    mark = tmp_path / "snapshots" / "7.loading"
    mark.write_text(str(os.getppid()))
    assert store.find(7, FINGERPRINT) is None
    mark.unlink()
    assert store.find(7, FINGERPRINT)


def test_drafts_of_processes_that_are_gone_are_swept(
    store: KVSnapshotStore, tmp_path: Path, dead_pid: int
) -> None:
    own = store.create_partial_file(7)
    left = tmp_path / "snapshots" / f"8.{dead_pid}.part"
    left.write_bytes(DATA)
    store.remove_abandoned_files()
    assert (own.exists(), left.exists()) == (True, False)


def test_the_fingerprint_is_stored_under_its_old_name(store: KVSnapshotStore, tmp_path: Path) -> None:
    save(store, 7)
    assert b'"origin":"model and build"' in (tmp_path / "snapshots" / "7.kv").read_bytes()
