from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from qwen3_chat.models.catalog import ModelReference
from qwen3_chat.models.picker import Download, DownloadPhase, Downloads
from tests.conftest import WAIT_LIMIT_S
from tests.models.hub.conftest import FAST_RETRIES_SHORT_STALL
from tests.models.hub.fake_hub import Cut, FakeHub, FlippedBit, Stall
from tests.models.picker.picker_fixture import FILE, REPOSITORY, SMALL, make_downloads

PAYLOAD = random.Random(8).randbytes((2 << 20) + 5)
REFERENCE = ModelReference(*SMALL)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub({REPOSITORY: {FILE: PAYLOAD}}) as hub:
        yield hub


@pytest.fixture
async def downloads(hub: FakeHub, tmp_path: Path) -> AsyncIterator[Downloads]:
    downloads = make_downloads(hub, tmp_path, PAYLOAD)
    yield downloads
    await downloads.close()


async def reached(downloads: Downloads, holds: Callable[[Download], bool]) -> Download:
    """Wait for a state of the only download."""
    reached_state: asyncio.Future[Download] = asyncio.get_running_loop().create_future()

    def check(state: Download) -> None:
        if holds(state) and not reached_state.done():
            reached_state.set_result(state)

    downloads.listeners.append(check)
    for state in downloads.states.values():
        check(state)
    return await asyncio.wait_for(reached_state, WAIT_LIMIT_S)


def start(downloads: Downloads) -> None:
    downloads.start(REFERENCE, SMALL, len(PAYLOAD))


async def test_a_download_tells_its_progress_and_where_the_file_is(downloads: Downloads) -> None:
    start(downloads)
    done = await reached(downloads, lambda state: state.phase is DownloadPhase.DONE)
    assert done.path is not None
    assert done.path.read_bytes() == PAYLOAD
    assert done.fraction == 1
    assert not downloads.running


async def test_a_paused_download_goes_on_where_it_was(downloads: Downloads, hub: FakeHub) -> None:
    hub.faults.append(Stall(1_300_000))
    start(downloads)
    await reached(downloads, lambda state: state.done_bytes > 0)
    await asyncio.to_thread(hub.stalled.wait, 100)
    await downloads.pause(SMALL)
    assert downloads.states[SMALL].phase is DownloadPhase.PAUSED
    start(downloads)
    await reached(downloads, lambda state: state.phase is DownloadPhase.DONE)
    assert hub.sent_bytes <= len(PAYLOAD) + (1 << 20)  # what was on its way when it was paused


async def test_faults_on_the_way_do_not_end_it(hub: FakeHub, tmp_path: Path) -> None:
    downloads = make_downloads(hub, tmp_path, PAYLOAD, FAST_RETRIES_SHORT_STALL)
    hub.faults += [Cut(300_000), Stall(400_000), FlippedBit()]
    start(downloads)
    done = await reached(downloads, lambda state: not state.is_running)
    assert done.phase is DownloadPhase.DONE


async def test_without_a_network_one_sentence_says_so(tmp_path: Path) -> None:
    downloads = make_downloads(None, tmp_path, PAYLOAD)
    start(downloads)
    failed = await reached(downloads, lambda state: not state.is_running)
    assert (failed.phase, failed.message) == (DownloadPhase.FAILED, "127.0.0.1:9 can't be reached.")


async def test_what_is_forgotten_is_stopped(downloads: Downloads, hub: FakeHub) -> None:
    hub.faults.append(Stall(1_300_000))
    start(downloads)
    await reached(downloads, lambda state: state.done_bytes > 0)
    await downloads.discard(SMALL)
    assert not downloads.states


async def test_a_download_that_is_paused_before_it_began_can_be_started_again(downloads: Downloads) -> None:
    start(downloads)
    await downloads.pause(SMALL)
    assert downloads.states[SMALL].phase is DownloadPhase.PAUSED
    start(downloads)
    await reached(downloads, lambda state: state.phase is DownloadPhase.DONE)


async def test_a_second_start_does_not_fetch_twice(downloads: Downloads, hub: FakeHub) -> None:
    start(downloads)
    start(downloads)
    await reached(downloads, lambda state: state.phase is DownloadPhase.DONE)
    assert hub.sent_bytes == len(PAYLOAD)
