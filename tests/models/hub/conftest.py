"""A fake hub, and downloads from it with short timeouts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from qwen3_chat.models.hub.downloader import Downloader, DownloadObserver
from qwen3_chat.models.hub.hub_file import HubFile
from qwen3_chat.models.hub.retry_policy import RetryPolicy
from qwen3_chat.models.hub.sources import Hub, HuggingFace, ModelScope, Source, new_http_client
from qwen3_chat.record_copies import replace
from tests.models.hub.fake_hub import FakeHub, Fault, Stall, sha256

REPOSITORY = "unsloth/Qwen3-0.6B-GGUF"
NAME = "Qwen3-0.6B-Q8_0.gguf"
PAYLOAD = random.Random(5).randbytes((3 << 20) + 17)
FAST_RETRIES = RetryPolicy(
    report_interval_s=0,
    connect_timeout_s=60,
    stall_timeout_s=60,
    listing_timeout_s=60,
    next_source_after_s=0.1,
    max_attempts=4,
    first_wait_s=0.001,
    max_wait_s=0.05,
    lock_poll_interval_s=0.01,
    max_connections=1,
)
"""A policy of immediate retries whose timeouts don't take a slow machine for a silent source."""

FAST_RETRIES_SHORT_STALL = replace(FAST_RETRIES, stall_timeout_s=1)
"""A policy for silent sources; a slow machine may seem silent too, so tests with it count no attempts."""


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
    """Return each kind of source in turn; every test runs against all."""
    return Source(request.param)


@pytest.fixture
def hub(fake: FakeHub, source: Source) -> Hub:
    return hub_at(fake.endpoint, source)


@pytest.fixture
def file() -> HubFile:
    return HubFile(REPOSITORY, NAME, len(PAYLOAD), sha256(PAYLOAD))


@dataclass
class RecordingObserver(DownloadObserver):
    """An observer that records the events of a download."""

    arrivals: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def on_received(self, file: HubFile, host: str, done_bytes: int) -> None:
        self.arrivals.append(done_bytes)

    def on_delayed(self, file: HubFile, reason: str, wait_s: float) -> None:
        self.reasons.append(reason)


@pytest.fixture
def notes() -> RecordingObserver:
    return RecordingObserver()


@pytest.fixture
async def download(hub: Hub, notes: RecordingObserver) -> AsyncIterator[Downloader]:
    async with new_http_client(FAST_RETRIES) as client:
        yield Downloader(client, (hub,), notes, FAST_RETRIES)


@asynccontextmanager
async def ready_for(faults: Iterable[Fault], download: Downloader) -> AsyncIterator[Downloader]:
    """Yield a downloader with a short timeout if a source falls silent, else with that for slow machines."""
    if not any(isinstance(fault, Stall) for fault in faults):
        yield download
        return
    async with new_http_client(FAST_RETRIES_SHORT_STALL) as client:
        yield replace(download, client=client, retry_policy=FAST_RETRIES_SHORT_STALL)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / REPOSITORY / NAME


def content(path: Path) -> bytes | None:
    """Return the bytes of a file, or None where there is none."""
    return path.read_bytes() if path.exists() else None


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - it may come true in another process
        await asyncio.sleep(0.01)


def size_of(part: Path) -> int:
    return len(content(part) or b"")
