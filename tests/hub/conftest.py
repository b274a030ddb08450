"""A fake hub, and downloads from it with little patience."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from qwen3_chat.hub.download import Download, Watcher
from qwen3_chat.hub.files import HubFile
from qwen3_chat.hub.patience import Patience
from qwen3_chat.hub.sources import Hub, HuggingFace, ModelScope, Source, new_client
from tests.hub.fake_hub import FakeHub, Fault, Stall, sha256

REPOSITORY = "unsloth/Qwen3-0.6B-GGUF"
NAME = "Qwen3-0.6B-Q8_0.gguf"
PAYLOAD = random.Random(5).randbytes((3 << 20) + 17)
IMPATIENT = Patience(
    connect_s=60,
    stall_s=60,
    listing_s=60,
    next_source_s=0.1,
    attempts=4,
    first_wait_s=0.001,
    longest_wait_s=0.05,
    lock_poll_s=0.01,
)
"""Tries again at once, but takes no slow machine for a silent source."""

NERVOUS = replace(IMPATIENT, stall_s=1)
"""For sources that fall silent; a slow machine may seem silent too, so nothing is counted with it."""


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with FakeHub({REPOSITORY: {NAME: PAYLOAD, "README.md": b"# hello\n"}}) as hub:
        yield hub


@pytest.fixture
def second() -> Iterator[FakeHub]:
    with FakeHub({REPOSITORY: {NAME: PAYLOAD}}) as hub:
        yield hub


def hub_at(endpoint: str, source: Source) -> Hub:
    return HuggingFace(endpoint) if source is Source.HF else ModelScope(endpoint)


@pytest.fixture(params=list(Source))
def source(request: pytest.FixtureRequest) -> Source:
    """Everything is tried against each source."""
    return Source(request.param)


@pytest.fixture
def hub(fake: FakeHub, source: Source) -> Hub:
    return hub_at(fake.endpoint, source)


@pytest.fixture
def file() -> HubFile:
    return HubFile(REPOSITORY, NAME, len(PAYLOAD), sha256(PAYLOAD))


@dataclass
class Notes(Watcher):
    """Writes down what a download tells."""

    arrivals: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def arrived(self, file: HubFile, host: str, done_bytes: int) -> None:
        self.arrivals.append(done_bytes)

    def delayed(self, file: HubFile, reason: str, wait_s: float) -> None:
        self.reasons.append(reason)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
async def download(hub: Hub, notes: Notes) -> AsyncIterator[Download]:
    async with new_client(IMPATIENT) as client:
        yield Download(client, (hub,), notes, IMPATIENT)


@asynccontextmanager
async def ready_for(faults: Iterable[Fault], download: Download) -> AsyncIterator[Download]:
    """Wait only briefly where a source falls silent, else as long as a slow machine may take."""
    if not any(isinstance(fault, Stall) for fault in faults):
        yield download
        return
    async with new_client(NERVOUS) as client:
        yield replace(download, client=client, patience=NERVOUS)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / REPOSITORY / NAME


def content(path: Path) -> bytes | None:
    """What a file holds; None where there is none."""
    return path.read_bytes() if path.exists() else None
