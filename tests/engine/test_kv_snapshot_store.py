from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qwen3_chat.engine.kv_snapshot_store import KVSnapshotStore

ORIGIN = "model and build"
DATA = bytes(range(256)) * 8
TOKENS = [1, 2, 3]


@pytest.fixture
def cabinet(tmp_path: Path) -> KVSnapshotStore:
    return KVSnapshotStore(tmp_path / "snapshots", 3 * len(DATA))


def put(cabinet: KVSnapshotStore, chat_id: int, data: bytes = DATA) -> None:
    draft = cabinet.create_partial_file(chat_id)
    draft.write_bytes(data)
    cabinet.commit(chat_id, draft, ORIGIN, TOKENS)


def age(cabinet: KVSnapshotStore, chat_id: int, seconds: int) -> None:
    """Have a snapshot be used last so long ago."""
    found = cabinet.find(chat_id, ORIGIN)
    assert found
    then_s = found.path.stat().st_mtime - seconds
    os.utime(found.path, (then_s, then_s))


@pytest.fixture
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_was_filed_is_found_as_it_was(cabinet: KVSnapshotStore) -> None:
    put(cabinet, 7)
    found = cabinet.find(7, ORIGIN)
    assert found
    assert found.metadata.tokens == TOKENS
    assert found.path.read_bytes().startswith(DATA)
    assert found.is_intact()


@pytest.mark.parametrize("size_bytes", [0, 1, 11, 12, len(DATA), -1])
def test_what_was_cut_off_is_not_found(cabinet: KVSnapshotStore, size_bytes: int) -> None:
    put(cabinet, 7)
    found = cabinet.find(7, ORIGIN)
    assert found
    whole = found.path.read_bytes()
    found.path.write_bytes(whole[:size_bytes])
    assert cabinet.find(7, ORIGIN) is None


def test_one_byte_that_changed_is_noticed(cabinet: KVSnapshotStore) -> None:
    put(cabinet, 7)
    found = cabinet.find(7, ORIGIN)
    assert found
    data = bytearray(found.path.read_bytes())
    data[len(DATA) // 2] ^= 1
    found.path.write_bytes(data)
    assert not found.is_intact()


def test_there_is_one_snapshot_a_chat_and_each_fits_one_origin(cabinet: KVSnapshotStore) -> None:
    put(cabinet, 7)
    put(cabinet, 7, DATA[:100])
    put(cabinet, 8)
    found = cabinet.find(7, ORIGIN)
    assert found
    assert found.metadata.size_bytes == 100
    assert cabinet.find(7, "another model") is None
    assert cabinet.find(9, ORIGIN) is None
    assert cabinet.chat_ids() == {7, 8}


def test_the_least_used_make_room_for_the_newest(cabinet: KVSnapshotStore) -> None:
    put(cabinet, 1)
    put(cabinet, 2)
    age(cabinet, 1, 20)
    age(cabinet, 2, 30)
    cabinet.mark_loading(2)
    cabinet.mark_loaded(2)
    put(cabinet, 3)
    assert cabinet.chat_ids() == {2, 3}


def test_what_is_larger_than_the_whole_cabinet_has_no_room(cabinet: KVSnapshotStore) -> None:
    assert cabinet.has_room_for(3 * len(DATA))
    assert not cabinet.has_room_for(3 * len(DATA) + 1)


def test_what_ended_a_process_is_dropped(cabinet: KVSnapshotStore, tmp_path: Path, dead_pid: int) -> None:
    put(cabinet, 7)
    (tmp_path / "snapshots" / "7.loading").write_text(str(dead_pid))
    assert cabinet.find(7, ORIGIN) is None
    assert list((tmp_path / "snapshots").iterdir()) == []


def test_what_another_process_is_loading_is_left_to_it(cabinet: KVSnapshotStore, tmp_path: Path) -> None:
    put(cabinet, 7)
    mark = tmp_path / "snapshots" / "7.loading"
    mark.write_text(str(os.getppid()))
    assert cabinet.find(7, ORIGIN) is None
    mark.unlink()
    assert cabinet.find(7, ORIGIN)


def test_drafts_of_processes_that_are_gone_are_swept(
    cabinet: KVSnapshotStore, tmp_path: Path, dead_pid: int
) -> None:
    own = cabinet.create_partial_file(7)
    left = tmp_path / "snapshots" / f"8.{dead_pid}.part"
    left.write_bytes(DATA)
    cabinet.remove_abandoned_files()
    assert (own.exists(), left.exists()) == (True, False)
