from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest

from qwen3_chat.errors import HubError
from qwen3_chat.models.hub.downloader import Downloader
from qwen3_chat.models.hub.hub_file import HubFile
from qwen3_chat.models.hub.part_file import part_path
from qwen3_chat.models.hub.sources import HuggingFace, ModelScope
from qwen3_chat.record_copies import replace
from tests.models.hub.conftest import NAME, PAYLOAD, REPOSITORY, content, ready_for, size_of, until
from tests.models.hub.fake_hub import (
    Cut,
    FakeHub,
    Fault,
    FlippedBit,
    IgnoredRange,
    OtherVersion,
    RangeAs200,
    Redirected,
    Stall,
    Status,
    WrongRange,
)
from tests.models.hub.pull_program import PullProgram

MIB = 1 << 20


class End(StrEnum):
    """The end of a run, unless the file is complete before."""

    BY_ITSELF = "by itself"
    CANCELLED = "cancelled"
    KILLED = "killed"


@dataclass(frozen=True)
class Run:
    """A run: the faults of each source in order, and the end."""

    first: tuple[Fault, ...]
    second: tuple[Fault, ...]
    end: End = End.BY_ITSELF


def fault(chance: random.Random) -> Fault:
    after_bytes = chance.choice([0, 1, chance.randrange(len(PAYLOAD)), chance.randrange(MIB)])
    return chance.choice(
        [
            Cut(after_bytes),
            Cut(after_bytes),
            Cut(after_bytes),
            Stall(after_bytes),
            RangeAs200(),
            WrongRange(),
            Redirected(),
            IgnoredRange(),
            FlippedBit(),
            OtherVersion(),
            Status(500),
            Status(404),
            Status(429, {"Retry-After": "0"}),
            Status(401),
        ]
    )


def script(seed: int, ends: list[End]) -> list[Run]:
    chance = random.Random(seed)
    runs = []
    for _ in range(chance.randint(1, 4)):
        end = chance.choice(ends)
        if end is End.BY_ITSELF:
            first = tuple(fault(chance) for _ in range(chance.randint(0, 4)))
            second = tuple(fault(chance) for _ in range(chance.randint(0, 4)))
            runs.append(Run(first, second))
        else:
            runs.append(Run((Stall(chance.randrange(MIB, 2 * MIB)),), (), end))
    return runs


def wasted_bytes(runs: list[Run]) -> int:
    """Return the bytes that may be fetched twice: 1 MiB a cut, or all where a source leaves no choice."""
    faults = [fault for run in runs for fault in (*run.first, *run.second)]
    whole = sum(isinstance(fault, IgnoredRange | FlippedBit | OtherVersion | WrongRange) for fault in faults)
    return len(faults) * MIB + 2 * whole * (len(PAYLOAD) + MIB)


async def killed(command: PullProgram, part: Path, least_bytes: int) -> None:
    """Start the real program and kill it without warning in the middle."""
    process = command.start("pull", f"{REPOSITORY}:{NAME}", "--json")
    await until(lambda: process.poll() is not None or size_of(part) >= least_bytes)
    process.kill()
    await asyncio.to_thread(process.communicate)


async def cancelled(download: Downloader, file: HubFile, target: Path, least_bytes: int) -> None:
    """Start a download and cancel it in the middle."""
    running = asyncio.create_task(download.fetch(file, target))
    part = part_path(target, file)
    await until(lambda: running.done() or size_of(part) >= least_bytes)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def least_bytes(run: Run, part: Path) -> int:
    """Wait until a run may be ended: the bytes before the stall are stored, except those still in memory."""
    (stall,) = run.first
    assert isinstance(stall, Stall)
    return size_of(part) + stall.after_bytes - MIB


async def play(
    runs: list[Run], download: Downloader, file: HubFile, hubs: tuple[FakeHub, FakeHub], home: Path
) -> None:
    """Perform the runs until the file is complete, then one more without faults."""
    first, second = hubs
    command = PullProgram(home, first, second)
    target = command.models / REPOSITORY / NAME
    part = part_path(target, file)
    for run in runs:
        first.faults, second.faults = type(first.faults)(run.first), type(second.faults)(run.second)
        match run.end:
            case End.BY_ITSELF:
                async with ready_for((*run.first, *run.second), download) as ready:
                    with suppress(HubError):
                        await ready.fetch(file, target)
            case End.CANCELLED:
                await cancelled(download, file, target, least_bytes(run, part))
            case End.KILLED:
                await killed(command, part, least_bytes(run, part))
        if content(target) is not None:
            break
    first.faults.clear()
    second.faults.clear()
    await download.fetch(file, target)
    assert content(target) == PAYLOAD
    assert [path.name for path in listed(target.parent)] == [NAME]
    assert first.sent_bytes + second.sent_bytes <= len(PAYLOAD) + wasted_bytes(runs)


def listed(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.fixture
def both(download: Downloader, fake: FakeHub, second: FakeHub) -> Downloader:
    return replace(download, hubs=(HuggingFace(fake.endpoint), ModelScope(second.endpoint)))


@pytest.mark.parametrize("source", ["hf"], indirect=True)
@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_the_file_is_right_in_the_end(
    both: Downloader, fake: FakeHub, second: FakeHub, file: HubFile, tmp_path: Path, seed: int
) -> None:
    runs = script(seed, [End.BY_ITSELF, End.CANCELLED])
    await play(runs, both, file, (fake, second), tmp_path)


@pytest.mark.parametrize("source", ["hf"], indirect=True)
async def test_a_killed_process_loses_next_to_nothing(
    both: Downloader, fake: FakeHub, second: FakeHub, file: HubFile, tmp_path: Path
) -> None:
    run = Run((Stall(MIB + 12_345),), (), End.KILLED)
    await play([run, run], both, file, (fake, second), tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("source", ["hf"], indirect=True)
@pytest.mark.parametrize("seed", range(1000, 1060))
async def test_sixty_more_ways_with_sudden_deaths(
    both: Downloader, fake: FakeHub, second: FakeHub, file: HubFile, tmp_path: Path, seed: int
) -> None:
    await play(script(seed, list(End)), both, file, (fake, second), tmp_path)
