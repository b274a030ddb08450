from __future__ import annotations

import asyncio
import errno
from itertools import count
from pathlib import Path

import pytest

from qwen3_chat.errors import HubError
from qwen3_chat.models.hub.downloader import Downloader
from qwen3_chat.models.hub.hub_file import HubFile
from qwen3_chat.models.hub.part_file import part_path
from qwen3_chat.models.hub.sources import Hub, HuggingFace, ModelScope
from qwen3_chat.record_copies import replace
from tests.models.hub.conftest import NAME, PAYLOAD, RecordingObserver, content, ready_for, size_of, until
from tests.models.hub.fake_hub import (
    Cut,
    ExpiredLink,
    FakeHub,
    Fault,
    FlippedBit,
    Held,
    IgnoredRange,
    LoginPage,
    OtherVersion,
    RangeAs200,
    Redirected,
    Stall,
    Status,
    WrongRange,
)

MIB = 1 << 20


def is_clean(target: Path) -> bool:
    """Return whether the folder contains only the file."""
    return [path.name for path in target.parent.iterdir()] == [NAME]


async def test_a_file_arrives_whole(
    download: Downloader, file: HubFile, target: Path, notes: RecordingObserver
) -> None:
    await download.fetch(file, target)
    assert content(target) == PAYLOAD
    assert is_clean(target)
    assert notes.arrivals[-1] == len(PAYLOAD)
    assert notes.arrivals == sorted(notes.arrivals)


@pytest.mark.parametrize(
    "faults",
    [
        [Cut(0)],
        [Cut(1)],
        [Cut(MIB), Cut(100_001), Cut(1)],
        [Stall(MIB)],
        [Cut(MIB), RangeAs200()],
        [Cut(MIB), IgnoredRange()],
        [Cut(MIB), IgnoredRange(), Cut(5)],
        [Cut(MIB), WrongRange()],
        [WrongRange()],
        [Redirected()],
        [Cut(MIB), Redirected()],
        [Status(500)],
        [Status(503), Status(502)],
        [Status(408)],
        [Status(400)],
        [ExpiredLink(403)],
        [ExpiredLink(400), ExpiredLink(401), Status(400)],
        [Cut(MIB), ExpiredLink(403)],
        [ExpiredLink(410), Redirected()],
        [Status(429, {"Retry-After": "0"})],
        [Cut(MIB), Status(429, {"RateLimit": '"resolvers";r=0;t=0'})],
        [FlippedBit()],
        [Cut(len(PAYLOAD) - 1)],
    ],
    ids=str,
)
async def test_what_a_source_does_wrong_once_is_survived(
    download: Downloader, fake: FakeHub, file: HubFile, target: Path, faults: list[Fault]
) -> None:
    fake.faults.extend(faults)
    async with ready_for(faults, download) as ready:
        await ready.fetch(file, target)
    assert content(target) == PAYLOAD
    assert is_clean(target)


async def test_a_cut_download_goes_on_at_the_very_byte(
    download: Downloader, fake: FakeHub, file: HubFile, target: Path
) -> None:
    fake.faults.extend([Cut(1_234_567), Cut(89)])
    await download.fetch(file, target)
    assert fake.downloads == [None, "bytes=1234567-", "bytes=1234656-"]
    assert fake.sent_bytes == len(PAYLOAD)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Status(401), "does not exist or is private"),
        (Status(401, {"X-Error-Code": "GatedRepo"}), "Accept its terms"),
        (Status(403, {"X-Error-Code": "GatedRepo"}), "Accept its terms"),
        (Status(403), "does not exist or is private"),
        (Status(404, {"X-Error-Code": "RepoNotFound"}), "there is no repository"),
        (Status(404, {"X-Error-Code": "EntryNotFound"}), "has no Qwen3-0.6B-Q8_0.gguf"),
        (Status(416), "another version"),
        (Status(418), "status 418"),
        (LoginPage(), "a web page instead"),
        (OtherVersion(), "another version"),
        (Status(429, {"Retry-After": "3600"}), "limits the number of requests"),
    ],
    ids=str,
)
async def test_what_waiting_does_not_help_is_said_at_once(
    download: Downloader, fake: FakeHub, file: HubFile, target: Path, fault: Fault, said: str
) -> None:
    fake.faults.append(fault)
    with pytest.raises(HubError, match=said):
        await download.fetch(file, target)
    assert len(fake.downloads) == 1
    assert content(target) is None


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Status(500), "an internal error"),
        (Cut(0), "closed the connection"),
        (Stall(0), "does not answer"),
        (WrongRange(), "a different piece"),
        (Status(429), "limits the number of requests"),
    ],
    ids=str,
)
async def test_a_source_that_keeps_failing_is_given_up(
    download: Downloader,
    fake: FakeHub,
    file: HubFile,
    target: Path,
    notes: RecordingObserver,
    fault: Fault,
    said: str,
) -> None:
    fake.faults.extend([fault] * 10)
    async with ready_for([fault], download) as ready:
        with pytest.raises(HubError, match=said):
            await ready.fetch(file, target)
    assert len(fake.downloads) == download.retry_policy.max_attempts
    assert len(notes.reasons) == download.retry_policy.max_attempts - 1


async def test_a_link_that_is_refused_again_and_again_is_said(
    download: Downloader, fake: FakeHub, file: HubFile, target: Path
) -> None:
    fake.faults.extend([ExpiredLink()] * 10)
    with pytest.raises(HubError, match=r"gave a link to Qwen3-0.6B-Q8_0.gguf that was refused \(403\)"):
        await download.fetch(file, target)
    assert len(fake.downloads) == download.retry_policy.max_attempts


@pytest.mark.parametrize("wait_s", [61, 300])
async def test_a_source_may_ask_for_minutes(
    download: Downloader, fake: FakeHub, file: HubFile, target: Path, wait_s: int
) -> None:
    pauses_s = [0.0]

    async def note(pause_s: float) -> None:
        pauses_s.append(pause_s)

    patient = replace(download, clock=lambda: sum(pauses_s), sleep=note)
    fake.faults.extend([Cut(MIB), Status(429, {"Retry-After": str(wait_s)})])
    await patient.fetch(file, target)
    assert content(target) == PAYLOAD
    assert max(pauses_s) == wait_s


async def test_a_source_that_always_sends_wrong_bytes_is_given_up(
    download: Downloader, fake: FakeHub, file: HubFile, target: Path
) -> None:
    fake.faults.extend([FlippedBit()] * 3)
    with pytest.raises(HubError, match="checksum is wrong"):
        await download.fetch(file, target)
    assert fake.downloads == [None, None]
    assert content(target) is None


async def test_a_source_that_nobody_answers_at_is_said(
    download: Downloader, file: HubFile, target: Path
) -> None:
    nobody = replace(download, hubs=(HuggingFace("http://127.0.0.1:9"),))
    with pytest.raises(HubError, match=r"127\.0\.0\.1:9 can't be reached"):
        await nobody.fetch(file, target)


async def test_the_next_source_goes_on_with_the_same_part(
    download: Downloader, fake: FakeHub, second: FakeHub, file: HubFile, target: Path
) -> None:
    both = replace(download, hubs=(HuggingFace(fake.endpoint), ModelScope(second.endpoint)))
    fake.faults.extend([Cut(MIB), Status(404)])
    await both.fetch(file, target)
    assert content(target) == PAYLOAD
    assert second.downloads == [f"bytes={MIB}-"]


async def test_a_source_that_crawls_is_left_for_the_next_one_and_the_last_one_may(
    download: Downloader, fake: FakeHub, second: FakeHub, file: HubFile, target: Path
) -> None:
    hours = count(0, 3600)
    hubs = (HuggingFace(fake.endpoint), ModelScope(second.endpoint))
    slow = replace(download, hubs=hubs, clock=lambda: float(next(hours)))
    await slow.fetch(file, target)
    assert content(target) == PAYLOAD
    assert fake.downloads == [None]
    (again,) = second.downloads
    assert again
    assert 0 < int(again.removeprefix("bytes=").removesuffix("-")) < len(PAYLOAD)


async def test_the_only_source_may_crawl(
    download: Downloader, fake: FakeHub, file: HubFile, target: Path
) -> None:
    hours = count(0, 3600)
    await replace(download, clock=lambda: float(next(hours))).fetch(file, target)
    assert content(target) == PAYLOAD
    assert fake.downloads == [None]


async def test_wrong_bytes_are_fetched_again_from_the_other_source(
    download: Downloader, fake: FakeHub, second: FakeHub, file: HubFile, target: Path
) -> None:
    both = replace(download, hubs=(HuggingFace(fake.endpoint), ModelScope(second.endpoint)))
    fake.faults.append(FlippedBit())
    await both.fetch(file, target)
    assert content(target) == PAYLOAD
    assert second.downloads == [None]


async def test_every_source_says_why_it_does_not_deliver(
    download: Downloader, fake: FakeHub, second: FakeHub, file: HubFile, target: Path
) -> None:
    both = replace(download, hubs=(HuggingFace(fake.endpoint), ModelScope(second.endpoint)))
    fake.faults.append(Status(401))
    second.faults.append(OtherVersion())
    with pytest.raises(HubError) as raised:
        await both.fetch(file, target)
    assert "private" in str(raised.value)
    assert "another version" in str(raised.value)


@pytest.mark.parametrize("after_bytes", [0, MIB], ids=["before the first byte", "in the middle"])
async def test_a_cancelled_download_goes_on_later(
    download: Downloader, fake: FakeHub, file: HubFile, target: Path, after_bytes: int
) -> None:
    fake.faults.append(Stall(after_bytes))
    running = asyncio.create_task(download.fetch(file, target))
    await asyncio.to_thread(fake.stalled.wait)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    kept_bytes = part_path(target, file).stat().st_size
    await download.fetch(file, target)
    assert content(target) == PAYLOAD
    assert fake.sent_bytes == len(PAYLOAD) + after_bytes - kept_bytes


async def test_a_part_with_a_wrong_byte_is_found_out(
    download: Downloader, fake: FakeHub, file: HubFile, target: Path
) -> None:
    target.parent.mkdir(parents=True)
    part_path(target, file).write_bytes(b"x" + PAYLOAD[1:MIB])
    await download.fetch(file, target)
    assert content(target) == PAYLOAD
    assert fake.downloads == [f"bytes={MIB}-", None]


@pytest.mark.parametrize("more", [b"", b"too much"], ids=["complete", "too long"])
async def test_a_complete_part_needs_no_network(
    download: Downloader, fake: FakeHub, file: HubFile, target: Path, more: bytes
) -> None:
    target.parent.mkdir(parents=True)
    part_path(target, file).write_bytes(PAYLOAD + more)
    await download.fetch(file, target)
    assert content(target) == PAYLOAD
    assert fake.requests == []


def spoil_sums(part: Path, sums: bytes) -> None:
    Path(f"{part}.pieces").write_bytes(sums)


def damage(path: Path, at: int) -> None:
    """Change a byte of a file, as a failing disk does."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


async def cut_short(download: Downloader, fake: FakeHub, file: HubFile, target: Path, n_bytes: int) -> Path:
    """Download the first bytes of a file, and return the path of the part."""
    fake.faults.extend([Cut(n_bytes), Status(404)])
    with pytest.raises(HubError):
        await download.fetch(file, target)
    fake.requests.clear()
    return part_path(target, file)


@pytest.mark.parametrize(
    ("damaged", "ranges"),
    [
        ([5], [f"bytes=0-{MIB - 1}"]),
        ([MIB], [f"bytes={MIB}-{2 * MIB - 1}"]),
        ([0, 2 * MIB - 1], [f"bytes=0-{MIB - 1}", f"bytes={MIB}-{2 * MIB - 1}"]),
    ],
    ids=["first piece", "second piece", "both"],
)
async def test_a_piece_that_the_disk_damaged_costs_that_piece(
    download: Downloader,
    fake: FakeHub,
    file: HubFile,
    target: Path,
    notes: RecordingObserver,
    damaged: list[int],
    ranges: list[str],
) -> None:
    part = await cut_short(download, fake, file, target, 2 * MIB + 99)
    for at in damaged:
        damage(part, at)
    fake.sent_bytes = 0
    await download.fetch(file, target)
    assert content(target) == PAYLOAD
    assert fake.downloads == [*ranges, f"bytes={2 * MIB + 99}-"]
    assert sum("has changed on this disk" in reason for reason in notes.reasons) == len(ranges)
    assert is_clean(target)


async def test_a_piece_is_fetched_again_from_a_source_that_ignores_ranges(
    download: Downloader, fake: FakeHub, file: HubFile, target: Path
) -> None:
    damage(await cut_short(download, fake, file, target, 2 * MIB + 99), MIB)
    fake.pieces_fail = True
    fake.faults.extend([Cut(3), IgnoredRange()])
    await download.fetch(file, target)
    assert content(target) == PAYLOAD


@pytest.mark.parametrize("sums", [b"", b"x", bytes(100), b"\xff" * 16, bytes(range(256)) * 9])
async def test_damaged_checksums_of_pieces_do_no_harm(
    download: Downloader, fake: FakeHub, file: HubFile, target: Path, sums: bytes
) -> None:
    part = await cut_short(download, fake, file, target, 2 * MIB + 99)
    spoil_sums(part, sums)
    await download.fetch(file, target)
    assert content(target) == PAYLOAD
    assert is_clean(target)


async def test_a_part_that_is_deleted_ends_its_download(
    download: Downloader, fake: FakeHub, file: HubFile, target: Path
) -> None:
    fake.faults.append(Held(2 * MIB))
    running = asyncio.create_task(download.fetch(file, target))
    part = part_path(target, file)
    await until(lambda: size_of(part) >= MIB)
    part.unlink()
    fake.let_go.set()
    with pytest.raises(HubError, match="was deleted while it was downloaded"):
        await running
    assert content(target) is None


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
async def test_a_file_system_without_locks_will_do(
    download: Downloader,
    fake: FakeHub,
    file: HubFile,
    target: Path,
    notes: RecordingObserver,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, "no locks")

    monkeypatch.setattr("fcntl.flock", refuse)
    async with asyncio.TaskGroup() as both:
        both.create_task(download.fetch(file, target))
        both.create_task(download.fetch(file, target))
    assert content(target) == PAYLOAD
    assert fake.downloads == [None]
    assert any("Another qwen3-chat" in reason for reason in notes.reasons)
    assert is_clean(target)


async def test_two_downloads_of_a_file_fetch_it_once(
    download: Downloader, fake: FakeHub, file: HubFile, target: Path, notes: RecordingObserver
) -> None:
    async with asyncio.TaskGroup() as both:
        both.create_task(download.fetch(file, target))
        both.create_task(download.fetch(file, target))
    assert content(target) == PAYLOAD
    assert fake.downloads == [None]
    assert any("Another qwen3-chat" in reason for reason in notes.reasons)
    assert is_clean(target)


async def test_a_disk_that_is_too_small_is_said_before_a_byte_is_fetched(
    download: Downloader, fake: FakeHub, file: HubFile, target: Path
) -> None:
    greedy = replace(download, reserve_bytes=1 << 60)
    with pytest.raises(HubError, match="Not enough disk space"):
        await greedy.fetch(file, target)
    assert fake.requests == []


async def test_a_folder_that_cannot_be_made_is_said(
    download: Downloader, file: HubFile, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HubError, match="can't be written"):
        await download.fetch(file, tmp_path / "file" / NAME)


async def test_a_token_goes_to_the_hub_and_not_to_where_it_sends(
    download: Downloader, fake: FakeHub, file: HubFile, target: Path
) -> None:
    with_token = replace(download, hubs=(HuggingFace(fake.endpoint, lambda: "secret"),))
    fake.faults.append(Redirected())
    await with_token.fetch(file, target)
    (first_host, first), (second_host, second) = fake.tokens
    assert (first, second) == ("Bearer secret", None)
    assert first_host != second_host


async def test_a_hub_names_a_file_in_its_own_way(hub: Hub) -> None:
    address = hub.file_url(HubFile("a/b", "Q8_0/x y.gguf", 1, "0" * 64, "abc"))
    beginning = address.partition("/a/b/")[2]
    assert beginning in ("resolve/abc/Q8_0/x%20y.gguf", "repo?Revision=master&FilePath=Q8_0%2Fx%20y.gguf")
