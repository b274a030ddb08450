from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from qwen3_chat.errors import HubError, ModelError
from qwen3_chat.models.hub import (
    CopyUsed,
    DownloadProgressed,
    FileChecked,
    HubFile,
    ModelPulled,
    PullEvent,
    PullTarget,
    pull_target,
)
from qwen3_chat.models.hub.model_pull import no_copies
from qwen3_chat.models.hub.sources import Hub
from qwen3_chat.record_copies import replace
from tests.models.hub.conftest import FAST_RETRIES, content, until
from tests.models.hub.fake_hub import Cut, FakeHub, Fault, FlippedBit, Held, Stall, Status, sha256

REPOSITORY = "unsloth/Qwen3-30B-A3B-GGUF"
PARTS = {
    f"Q8_0/Qwen3-30B-A3B-Q8_0-0000{number}-of-00003.gguf": bytes([number]) * (number << 20)
    for number in (1, 2, 3)
}
TOTAL_BYTES = 6 << 20


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with FakeHub({REPOSITORY: PARTS}) as hub:
        yield hub


@pytest.fixture
def wanted() -> PullTarget:
    files = tuple(HubFile(REPOSITORY, path, len(data), sha256(data)) for path, data in PARTS.items())
    return PullTarget("30B-A3B", "Q8_0", files)


@dataclass
class Puller:
    """A pull from one hub into one folder, which records the events."""

    hub: Hub
    folder: Path
    events: list[PullEvent] = field(default_factory=list)

    async def pull(self, wanted: PullTarget, copies: Iterable[Path] = ()) -> ModelPulled:
        return await pull_target(
            wanted,
            (self.hub,),
            self.folder,
            self.events.append,
            (lambda file: copies) if copies else no_copies,
            FAST_RETRIES,
            0,
        )

    def path(self, file: HubFile) -> Path:
        return self.folder / file.repository / file.path


@pytest.fixture
def puller(hub: Hub, tmp_path: Path) -> Puller:
    return Puller(hub, tmp_path / "models")


async def test_the_parts_of_a_split_model_are_one_download(puller: Puller, wanted: PullTarget) -> None:
    pulled = await puller.pull(wanted)
    assert [content(puller.path(file)) for file in wanted.files] == list(PARTS.values())
    assert pulled == ModelPulled("30B-A3B", "Q8_0", str(puller.path(wanted.files[0])), TOTAL_BYTES)
    progress = [event for event in puller.events if isinstance(event, DownloadProgressed)]
    done = [event.done_bytes for event in progress]
    assert done == sorted(done)
    assert (done[-1], {event.total_bytes for event in progress}) == (TOTAL_BYTES, {TOTAL_BYTES})
    assert puller.events[-1] == pulled


async def test_a_split_download_goes_on_in_its_middle_part(
    puller: Puller, fake: FakeHub, wanted: PullTarget
) -> None:
    fake.faults.extend([Cut(1 << 20), Cut(1 << 20), Status(404)])
    with pytest.raises(HubError):
        await puller.pull(wanted)
    puller.events.clear()
    await puller.pull(wanted)
    assert fake.downloads[-2:] == ["bytes=1048576-", None]
    assert fake.sent_bytes == TOTAL_BYTES
    first = next(event for event in puller.events if isinstance(event, DownloadProgressed))
    assert first.done_bytes >= 2 << 20


async def test_what_is_there_is_checked_and_not_fetched_again(
    puller: Puller, fake: FakeHub, wanted: PullTarget
) -> None:
    await puller.pull(wanted)
    fake.requests.clear()
    puller.events.clear()
    await puller.pull(wanted)
    assert fake.requests == []
    assert any(isinstance(event, FileChecked) for event in puller.events)


@pytest.mark.parametrize("damage", [b"", b"x" * (2 << 20)], ids=["cut short", "changed"])
async def test_a_damaged_file_is_fetched_anew(puller: Puller, wanted: PullTarget, damage: bytes) -> None:
    await puller.pull(wanted)
    path = puller.path(wanted.files[1])
    path.write_bytes(damage)
    await puller.pull(wanted)
    assert content(path) == PARTS[wanted.files[1].path]


@pytest.mark.parametrize("fault", [Status(404), Status(401), FlippedBit()], ids=str)
async def test_the_old_files_stay_until_all_new_ones_are_complete(
    puller: Puller, fake: FakeHub, wanted: PullTarget, fault: Fault
) -> None:
    for file in wanted.files:
        put(puller.path(file), b"old " + file.name.encode())
    fake.faults.extend([Cut(1 << 20), Cut(1 << 30), fault, fault])
    with pytest.raises(HubError):
        await puller.pull(wanted)
    assert [content(puller.path(file)) for file in wanted.files] == [
        b"old " + file.name.encode() for file in wanted.files
    ]
    fake.faults.clear()
    await puller.pull(wanted)
    assert [content(puller.path(file)) for file in wanted.files] == list(PARTS.values())
    assert [path for path in puller.folder.rglob("*.*") if path.suffix != ".gguf"] == []


async def test_the_old_file_stays_where_the_disk_is_too_small(
    puller: Puller, fake: FakeHub, wanted: PullTarget
) -> None:
    path = put(puller.path(wanted.files[0]), b"old")
    with pytest.raises(HubError, match="Not enough disk space"):
        await pull_target(wanted, (puller.hub,), puller.folder, puller.events.append, reserve_bytes=1 << 60)
    assert (content(path), fake.downloads) == (b"old", [])


async def test_a_copy_elsewhere_replaces_an_old_file(
    puller: Puller, wanted: PullTarget, tmp_path: Path
) -> None:
    path, first = puller.path(wanted.files[0]), wanted.files[0]
    put(path, b"old")
    copy = put(tmp_path / "copy", PARTS[first.path])
    await puller.pull(replace(wanted, files=(first,)), [copy])
    assert (content(path), content(copy)) == (PARTS[first.path], PARTS[first.path])
    assert [path.name for path in path.parent.iterdir()] == [first.name]


async def test_a_file_that_cannot_be_read_is_not_deleted(
    puller: Puller, fake: FakeHub, wanted: PullTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    await puller.pull(wanted)
    fake.requests.clear()
    really_open = Path.open

    def fail(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == wanted.files[1].name:
            raise OSError(errno.EIO, "Input/output error")
        return really_open(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(ModelError, match="cannot be read: Input/output"):
        await puller.pull(wanted)
    monkeypatch.undo()
    assert [content(puller.path(file)) for file in wanted.files] == list(PARTS.values())
    assert fake.requests == []


async def test_a_model_that_is_removed_between_its_parts_is_not_called_ready(
    puller: Puller, fake: FakeHub, wanted: PullTarget
) -> None:
    fake.faults.extend([Cut(1 << 30), Held(1 << 20)])
    running = asyncio.create_task(puller.pull(wanted))
    await until(puller.path(wanted.files[0]).exists)
    puller.path(wanted.files[0]).unlink()
    fake.let_go.set()
    with pytest.raises(HubError, match="was deleted while it was downloaded"):
        await running


async def test_the_next_publisher_is_asked_where_no_source_has_the_file(
    puller: Puller, fake: FakeHub, wanted: PullTarget
) -> None:
    gone = HubFile("Qwen/Qwen3-30B-A3B-GGUF", "Qwen3-30B-A3B-Q8_0.gguf", 9, sha256(b"gone"))
    target = PullTarget("30B-A3B", "Q8_0", (gone,), ("no/such", REPOSITORY))
    pulled = await puller.pull(target)
    assert [content(puller.path(file)) for file in wanted.files] == list(PARTS.values())
    assert pulled == ModelPulled("30B-A3B", "Q8_0", str(puller.path(wanted.files[0])), TOTAL_BYTES)


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


async def test_the_same_file_elsewhere_is_used_where_it_is(
    puller: Puller, fake: FakeHub, wanted: PullTarget, tmp_path: Path
) -> None:
    copies = [tmp_path / f"copy{number}" for number in range(3)]
    for copy, data in zip(copies, PARTS.values(), strict=True):
        copy.write_bytes(data)
    await puller.pull(wanted, copies)
    assert fake.requests == []
    used = [event.path for event in puller.events if isinstance(event, CopyUsed)]
    assert used == [str(copy) for copy in copies]
    assert [content(puller.path(file)) for file in wanted.files] == list(PARTS.values())


async def test_a_file_elsewhere_that_is_damaged_is_not_used(
    puller: Puller, fake: FakeHub, wanted: PullTarget, tmp_path: Path
) -> None:
    (tmp_path / "copy").write_bytes(b"x" * len(PARTS[wanted.files[0].path]))
    await puller.pull(wanted, [tmp_path / "copy"])
    assert len(fake.downloads) == 3
    assert content(puller.path(wanted.files[0])) == PARTS[wanted.files[0].path]


async def test_a_link_that_leads_nowhere_makes_way(
    puller: Puller, wanted: PullTarget, tmp_path: Path
) -> None:
    path = puller.path(wanted.files[0])
    make_link(path, tmp_path / "gone")
    await puller.pull(wanted)
    assert content(path) == PARTS[wanted.files[0].path]


def make_link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to(target)


async def test_a_pull_can_be_paused_and_gone_on_with(
    puller: Puller, fake: FakeHub, wanted: PullTarget
) -> None:
    fake.faults.extend([Cut(1 << 20), Stall(1 << 20)])
    running = asyncio.create_task(puller.pull(wanted))
    await asyncio.to_thread(fake.stalled.wait)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await puller.pull(wanted)
    assert [content(puller.path(file)) for file in wanted.files] == list(PARTS.values())
