from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import count
from pathlib import Path

import httpcore2
import pytest

from qwen3_chat.errors import HubError
from qwen3_chat.models.hub.downloader import Downloader
from qwen3_chat.models.hub.hub_file import HubFile
from qwen3_chat.models.hub.parallel_ranges import MAX_RANGE_BYTES, MIN_RANGE_BYTES, ConnectionCount
from qwen3_chat.models.hub.part_file import part_path
from qwen3_chat.models.hub.retry_policy import RetryPolicy
from qwen3_chat.models.hub.sources import CLIENT_READ_BYTES, HuggingFace, ModelScope, new_http_client
from qwen3_chat.record_copies import replace
from tests.models.hub.conftest import (
    FAST_RETRIES,
    NAME,
    REPOSITORY,
    RecordingObserver,
    content,
    ready_for,
    size_of,
    until,
)
from tests.models.hub.fake_hub import (
    Cut,
    FakeHub,
    Fault,
    FlippedBit,
    IgnoredRange,
    RangeAs200,
    Stall,
    Status,
    WrongRange,
    sha256,
)

MIB = 1 << 20
LARGE = random.Random(7).randbytes(12 * MIB + 5)
POLICY = RetryPolicy(connection_trial_s=4, min_connection_gain=1.2, min_trial_left_s=20, max_connections=8)
EAGER = replace(
    FAST_RETRIES, max_connections=4, connection_trial_s=0, min_connection_gain=0, min_trial_left_s=0
)
"""A policy that tries more connections with each chunk and finds them faster."""


def numbers(source_bytes_per_s: Sequence[float], left_s: float = 1000) -> list[int]:
    """Return the numbers of connections over time, where so many of them have that speed together."""
    connections = ConnectionCount(POLICY)
    used = [1]
    for now_s in range(200):
        speed = source_bytes_per_s[min(connections.n, len(source_bytes_per_s)) - 1]
        if connections.feed(int(speed), int(left_s * speed), now_s):
            used.append(connections.n)
    return used


def test_connections_are_doubled_as_long_as_that_is_faster() -> None:
    limited_each = [MIB * n for n in range(1, 9)]
    assert numbers(limited_each) == [1, 2, 4, 8]


def test_a_source_that_limits_all_connections_together_is_left_with_one() -> None:
    assert numbers([MIB]) == [1, 2, 1]


def test_of_connections_that_bring_no_more_half_are_given_up() -> None:
    assert numbers([MIB, 2 * MIB, 2.2 * MIB]) == [1, 2, 4, 2]


def test_the_end_of_a_download_is_not_worth_a_trial() -> None:
    assert numbers([MIB, 2 * MIB], left_s=19) == [1]


def test_the_slow_beginning_of_connections_does_not_count() -> None:
    connections = ConnectionCount(POLICY)
    speeds = {1: MIB, 2: 2 * MIB, 4: 4 * MIB, 8: 8 * MIB}
    used, changed_s = [1], 0
    for now_s in range(60):
        speed = speeds[connections.n] if now_s - changed_s > 2 else 0
        if connections.feed(speed, 10**12, now_s):
            used, changed_s = [*used, connections.n], now_s
    assert used == [1, 2, 4, 8]


def test_a_source_that_failed_is_not_tried_with_more_again() -> None:
    connections = ConnectionCount(POLICY)
    connections.settle(0)
    assert not any(connections.feed(MIB, 10**12, now_s) for now_s in range(100))
    assert connections.n == 1


@pytest.mark.parametrize("bytes_per_s", [1, 100 * MIB])
def test_a_range_is_neither_tiny_nor_larger_than_memory_allows(bytes_per_s: int) -> None:
    connections = ConnectionCount(POLICY)
    while connections.n < 8:
        now_s = iter(range(1000))
        connections.feed(bytes_per_s * connections.n, 10**15, next(now_s))
        for second in now_s:
            if connections.feed(bytes_per_s * connections.n, 10**15, second):
                break
    assert MIN_RANGE_BYTES <= connections.range_bytes <= MAX_RANGE_BYTES
    assert (connections.n + 1) * connections.range_bytes <= 64 * MIB


@pytest.fixture
def large(fake: FakeHub) -> HubFile:
    fake.repositories = {REPOSITORY: {NAME: LARGE}}
    fake.pause_s = 0.002
    fake.pieces_fail = True
    return HubFile(REPOSITORY, NAME, len(LARGE), sha256(LARGE))


@pytest.fixture
def ticks() -> Iterator[int]:
    return count()


@pytest.fixture
async def eager(fake: FakeHub, notes: RecordingObserver, ticks: Iterator[int]) -> AsyncIterator[Downloader]:
    async with new_http_client(EAGER) as client:
        hubs = (HuggingFace(fake.endpoint, lambda: "secret"),)
        yield Downloader(client, hubs, notes, EAGER, clock=lambda: float(next(ticks)))


async def test_several_connections_bring_the_file_in_order(
    eager: Downloader, fake: FakeHub, large: HubFile, target: Path, notes: RecordingObserver
) -> None:
    fake.n_together = 2
    await eager.fetch(large, target)
    assert content(target) == LARGE
    assert notes.arrivals == sorted(notes.arrivals)
    assert fake.max_open >= 2
    asked = [asked for asked in fake.downloads if asked and not asked.endswith("-")]
    assert len(asked) > 4
    assert notes.reasons == []


async def test_no_range_is_asked_for_where_more_connections_are_no_faster(
    eager: Downloader, fake: FakeHub, large: HubFile, target: Path
) -> None:
    never = replace(eager, retry_policy=replace(EAGER, min_connection_gain=1e12))
    await never.fetch(large, target)
    assert content(target) == LARGE
    last = fake.downloads[-1]
    assert last
    assert last.endswith("-")  # one connection, to the end


async def test_a_link_serves_all_ranges_until_it_expires_and_gets_no_token(
    eager: Downloader, fake: FakeHub, large: HubFile, target: Path, notes: RecordingObserver
) -> None:
    fake.link_uses = 5
    await eager.fetch(large, target)
    assert content(target) == LARGE
    assert notes.reasons == []
    assert len(fake.links) < len([path for path, _ in fake.requests if path.startswith("/signed/")])
    assert {token for host, token in fake.tokens if host.startswith("localhost")} == {None}


async def test_a_source_that_ignores_ranges_is_left_with_one_connection(
    eager: Downloader, fake: FakeHub, large: HubFile, target: Path, notes: RecordingObserver
) -> None:
    fake.faults.extend([Cut(len(LARGE)), *[IgnoredRange()] * 50])
    await eager.fetch(large, target)
    assert content(target) == LARGE
    assert notes.reasons == []


async def test_fewer_connections_are_used_where_the_source_refuses_more(
    eager: Downloader, fake: FakeHub, large: HubFile, target: Path
) -> None:
    busy = [Status(429, {"Retry-After": "0"})] * 4
    fake.faults.extend([Cut(len(LARGE)), *busy])
    await eager.fetch(large, target)
    assert content(target) == LARGE


async def test_cancelled_connections_leave_a_beginning_of_the_file(
    eager: Downloader, fake: FakeHub, large: HubFile, target: Path
) -> None:
    fake.faults.extend([Cut(len(LARGE)), Cut(len(LARGE)), *[Stall(MIB // 2)] * 8])
    running = asyncio.create_task(eager.fetch(large, target))
    await asyncio.to_thread(fake.stalled.wait)
    part = part_path(target, large)
    await until(lambda: size_of(part) > 0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    stored = part.read_bytes()
    assert stored == LARGE[: len(stored)]
    fake.faults.clear()
    await eager.fetch(large, target)
    assert content(target) == LARGE


def fault(chance: random.Random) -> Fault:
    after_bytes = chance.choice([0, 1, chance.randrange(MIB)])
    kinds = [Cut(after_bytes), Stall(after_bytes), RangeAs200(), WrongRange(), IgnoredRange(), FlippedBit()]
    return chance.choice([*kinds, Status(500), Status(403), Status(429, {"Retry-After": "0"})])


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def play(
    seed: int, download: Downloader, fake: FakeHub, second: FakeHub, file: HubFile, target: Path
) -> None:
    """Download with faults on all connections of both sources, then without."""
    chance = random.Random(seed)
    second.repositories, second.pieces_fail = fake.repositories, True
    for hub in (fake, second):
        hub.link_uses = chance.choice([0, 1, 7])
    both = replace(download, hubs=(HuggingFace(fake.endpoint), ModelScope(second.endpoint)))
    for _ in range(chance.randint(1, 3)):
        faults = [chance.choice([Cut(len(LARGE)), fault(chance)]) for _ in range(chance.randint(2, 20))]
        fake.faults.extend(faults[::2])
        second.faults.extend(faults[1::2])
        async with ready_for(faults, both) as ready:
            policy = replace(EAGER, stall_timeout_s=ready.retry_policy.stall_timeout_s)
            try:
                await replace(ready, retry_policy=policy).fetch(file, target)
                break
            except HubError:
                assert content(target) is None
    fake.faults.clear()
    second.faults.clear()
    if content(target) is None:
        await both.fetch(file, target)
    assert content(target) == LARGE
    assert names_in(target.parent) == [NAME]


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_to_the_connections_the_file_is_right_in_the_end(
    eager: Downloader, fake: FakeHub, second: FakeHub, large: HubFile, target: Path, seed: int
) -> None:
    await play(seed, eager, fake, second, large, target)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(100, 130))
async def test_thirty_more_ways_with_several_connections(
    eager: Downloader, fake: FakeHub, second: FakeHub, large: HubFile, target: Path, seed: int
) -> None:
    await play(seed, eager, fake, second, large, target)


class WideStream(httpcore2.AsyncMockStream):
    """A connection that notes how many bytes are asked for at once."""

    asked: set[int]

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - as httpcore2 has it
        self.asked.add(max_bytes)
        return await super().read(max_bytes, timeout)


async def test_a_client_reads_a_fast_source_in_large_pieces() -> None:
    asked: set[int] = set()

    class Backend(httpcore2.AsyncMockBackend):
        async def connect_tcp(self, *_: object, **__: object) -> httpcore2.AsyncNetworkStream:
            stream = WideStream([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", b"abcd"])
            stream.asked = asked
            return stream

    async with new_http_client(FAST_RETRIES):
        pass
    async with httpcore2.AsyncConnectionPool(network_backend=Backend([])) as pool:
        response = await pool.request("GET", "http://example.org/")
    assert response.content == b"abcd"
    assert asked == {CLIENT_READ_BYTES}
