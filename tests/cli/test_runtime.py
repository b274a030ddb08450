from __future__ import annotations

from pathlib import Path

import pytest

from qwen3_chat.cli.composition import open_runtime
from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.config import Paths, Settings, find_paths
from qwen3_chat.engine.kv_snapshot_store import KVSnapshotStore


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return find_paths({"QWEN3_CHAT_HOME": str(tmp_path)})


@pytest.fixture
def snapshots(paths: Paths) -> KVSnapshotStore:
    return KVSnapshotStore(paths.data / "snapshots", 1 << 20)


def add_snapshot(snapshots: KVSnapshotStore, chat_id: int) -> None:
    partial = snapshots.create_partial_file(chat_id)
    partial.write_bytes(b"cells")
    snapshots.commit(chat_id, partial, "origin", [1])


async def test_a_deleted_chat_takes_its_snapshot_along(paths: Paths, snapshots: KVSnapshotStore) -> None:
    async with open_runtime(ModelChoice(demo=True), Settings(), paths, None) as runtime:
        chats = [await runtime.store.create_chat() for _ in range(2)]
        for chat in chats:
            add_snapshot(snapshots, chat.id)
        await runtime.store.delete_chat(chats[0].id)
        assert snapshots.chat_ids() == {chats[1].id}
    assert snapshots.chat_ids() == {chats[1].id}


async def test_snapshots_of_chats_that_were_deleted_elsewhere_go_at_the_end(
    paths: Paths, snapshots: KVSnapshotStore
) -> None:
    async with open_runtime(ModelChoice(demo=True), Settings(), paths, None) as runtime:
        chat = await runtime.store.create_chat()
        add_snapshot(snapshots, chat.id)
        add_snapshot(snapshots, chat.id + 1)
    assert snapshots.chat_ids() == {chat.id}
