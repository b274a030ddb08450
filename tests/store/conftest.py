"""A store on a real file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qwen3_chat.store import ChatStore
from tests.store.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "chats.db"


@pytest.fixture
async def store(path: Path, clock: Clock) -> AsyncIterator[ChatStore]:
    store = await ChatStore.open(path, clock=clock)
    yield store
    await store.close()
