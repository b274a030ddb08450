from __future__ import annotations

import subprocess
import sys
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
def cabinet(paths: Paths) -> KVSnapshotStore:
    return KVSnapshotStore(paths.data / "snapshots", 1 << 20)


def keep(cabinet: KVSnapshotStore, chat_id: int) -> None:
    draft = cabinet.create_partial_file(chat_id)
    draft.write_bytes(b"cells")
    cabinet.commit(chat_id, draft, "origin", [1])


async def test_a_deleted_chat_takes_its_snapshot_along(paths: Paths, cabinet: KVSnapshotStore) -> None:
    async with open_runtime(ModelChoice(demo=True), Settings(), paths, None) as runtime:
        chats = [await runtime.store.create_chat() for _ in range(2)]
        for chat in chats:
            keep(cabinet, chat.id)
        await runtime.store.delete_chat(chats[0].id)
        assert cabinet.chat_ids() == {chats[1].id}
    assert cabinet.chat_ids() == {chats[1].id}


async def test_snapshots_of_chats_that_were_deleted_elsewhere_go_at_the_end(
    paths: Paths, cabinet: KVSnapshotStore
) -> None:
    async with open_runtime(ModelChoice(demo=True), Settings(), paths, None) as runtime:
        chat = await runtime.store.create_chat()
        keep(cabinet, chat.id)
        keep(cabinet, chat.id + 1)
    assert cabinet.chat_ids() == {chat.id}


def test_the_app_starts_without_what_only_later_work_needs() -> None:
    program = "import sys, qwen3_chat.cli.commands, qwen3_chat.cli.run_tui; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    late = {"filelock", "httpx2", "huggingface_hub", "llama_cpp", "markdown_it", "pygments", "pynvml"}
    assert not late & set(loaded.stdout.split())
