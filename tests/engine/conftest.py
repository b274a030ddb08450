"""The real engine on the demo model, and on models made from it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.worker.vocab import Vocab
from qwen3_chat.request import LoadSettings
from tests.engine import model_files
from tests.prompt.conftest import opened


@pytest.fixture(scope="session")
def demo_vocab(demo_gguf: Path) -> Iterator[Vocab]:
    for open_vocab in opened(demo_gguf):
        yield open_vocab.vocab


@pytest.fixture(scope="session")
def endless_gguf(demo_gguf: Path, demo_vocab: Vocab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("endless") / "endless.gguf"
    return model_files.make(path, demo_gguf, lambda data: model_files.endless(data, demo_vocab))


@pytest.fixture(scope="session")
def tireless_gguf(demo_gguf: Path, demo_vocab: Vocab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tireless") / "tireless.gguf"
    return model_files.make(path, demo_gguf, lambda data: model_files.tireless(data, demo_vocab))


@pytest.fixture(scope="session")
def brooding_gguf(demo_gguf: Path, demo_vocab: Vocab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("brooding") / "brooding.gguf"
    return model_files.make(path, demo_gguf, lambda data: model_files.brooding(data, demo_vocab))


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "engine.log"


@pytest.fixture
async def demo_engine(demo_gguf: Path, log_path: Path) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(LoadSettings(str(demo_gguf)), log_path)
    yield engine
    await engine.close()


@pytest.fixture
async def endless_engine(endless_gguf: Path, log_path: Path) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(LoadSettings(str(endless_gguf)), log_path)
    yield engine
    await engine.close()


@pytest.fixture
async def brooding_engine(brooding_gguf: Path, log_path: Path) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(LoadSettings(str(brooding_gguf)), log_path)
    yield engine
    await engine.close()
