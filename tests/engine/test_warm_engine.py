"""A warm engine from inside: who may talk to it, what it takes, when it ends."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from event_stream import events_of
from qwen3_chat.engine import warm_client, warm_holder, warm_messages, wire
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.warm_client import WarmEngine, WarmUse, list_warm_engines, stop_warm_engines
from qwen3_chat.engine.warm_holder import WarmHolder
from qwen3_chat.engine.warm_messages import Attach, QueryStatus
from qwen3_chat.engine.warm_socket import MAX_PATH_BYTES, WarmSocket, WarmSocketError, peer_user_id
from qwen3_chat.engine.worker_process import WorkerProcess
from qwen3_chat.events import EngineEvent, Notice
from qwen3_chat.request import LoadSettings
from tests.conftest import WAIT_LIMIT_S
from tests.engine.requests import chat_request, collect_events, end_of, text_of, user_message
from tests.warm_engines import own_runtime_folder, processes_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX sockets with the user at their end")

NOBODY = 65534
CONNECT = f"""
import os, socket, sys
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
with socket.socket(socket.AF_UNIX) as connection:
    try:
        connection.connect(sys.argv[1])
        connection.sendall(b'{{"type":"QueryStatus"}}\\n')
        print(len(connection.recv(4096)))
    except OSError as error:
        print(type(error).__name__)
"""


@pytest.fixture
def place() -> Iterator[WarmSocket]:
    with own_runtime_folder() as folder:
        place = WarmSocket.find(folder, "1.2.3", {"XDG_RUNTIME_DIR": str(folder)})
        place.require_private_folder(make=True)
        yield place


class Held:
    """A holder in this process, with a real worker."""

    def __init__(self, holder: WarmHolder, running: asyncio.Task[Any]) -> None:
        self.holder, self.running = holder, running


StartHolder = Callable[..., Any]


@pytest.fixture
async def start_holder(place: WarmSocket, log_path: Path) -> AsyncIterator[StartHolder]:
    started = list[Held]()

    async def start(minutes: float = 5, **options: Any) -> Held:
        worker = await WorkerProcess.start(sys.executable, log_path)
        listener = place.listen()
        holder = WarmHolder(worker, place.path, minutes, "1.2.3", **options)
        held = Held(holder, asyncio.create_task(holder.run(listener)))
        started.append(held)
        return held

    yield start
    for held in started:
        held.holder.stop()
        async with asyncio.timeout(WAIT_LIMIT_S):
            await held.running


def warm_engine(place: WarmSocket, gguf: Path, log_path: Path, use: WarmUse = WarmUse.JOIN) -> LocalEngine:
    return LocalEngine(LoadSettings(str(gguf)), log_path, warm=WarmEngine(place, use, 5))


async def answer_of(engine: LocalEngine) -> str:
    """Ask one question, and leave."""
    request = chat_request(user_message("Hello"), max_tokens=8)
    events = await collect_events(events_of(engine.generate, request))
    await engine.close()
    assert end_of(events).token_ids
    return text_of(events)


async def test_callers_share_the_model_that_the_first_has_loaded(
    place: WarmSocket, demo_gguf: Path, log_path: Path, start_holder: StartHolder
) -> None:
    await start_holder()
    first = await answer_of(warm_engine(place, demo_gguf, log_path, WarmUse.START))
    joined = warm_engine(place, demo_gguf, log_path)
    loads = [event async for event in events_of(joined.load)]
    (status,) = await list_warm_engines(place)
    assert joined.pid not in (None, os.getpid())
    assert await answer_of(joined) == first
    assert status.model.startswith("Qwen3-chat demo")
    assert not any(isinstance(event, Notice) for event in loads)


HOSTILE_LINES = [
    b"",
    b"\n",
    b"\0" * 100 + b"\n",
    b"x" * (1 << 20),
    b"[" * 4000 + b"\n",
    b'{"type":"Attach","key":"' + b"k" * 200 + b'"}\n',
    b'{"type":"Attach","key":"k","minutes":1e99}\n',
    b'{"type":"Attach","key":"k","minutes":-1}\n',
    b'{"type":"Attach","key":"k","minutes":NaN}\n',
    b'{"type":"Attach","key":"k","takes_any":true}\nxxx\n',
    b'{"type":"Generate","call_id":1}\n',
]
HOSTILE_COMMANDS = [
    b"x\n",
    b"\xff\xfe\n",
    b'{"type":"Cancel","call_id":77}\n{"type":"EndThinking","call_id":1e9}\n',
    b'{"type":"Generate","call_id":1,"request":{}}\n',
    b'{"type":"ListDevices","call_id":' + b"9" * 50 + b"}\n",
    b'{"type":"Load","call_id":1,"settings":{"path":"/","n_ctx":99999999999},"plan":{"n_layers":1,"n_ctx":1}}\n',
    b'{"type":"Load","call_id":1,"settings":{"path":"/"},"plan":{"n_layers":-1,"n_ctx":1}}\n',
    b"".join(b'{"type":"ListDevices","call_id":%d}\n' % number for number in range(1000)),
]


async def send(place: WarmSocket, *pieces: bytes, reads: bool = False) -> None:
    """Connect, send bytes, and leave, sometimes before anything is answered."""
    reader, writer = await asyncio.open_unix_connection(place.path)
    with suppress(OSError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if reads:
            writer.write_eof()
            async with asyncio.timeout(WAIT_LIMIT_S):
                while await reader.read(1 << 16):
                    pass
    writer.transport.abort()


async def test_hostile_bytes_harm_nothing(
    place: WarmSocket, demo_gguf: Path, log_path: Path, start_holder: StartHolder
) -> None:
    held = await start_holder()
    expected = await answer_of(warm_engine(place, demo_gguf, log_path, WarmUse.START))
    attach = warm_messages.encode_greeting(Attach("k", takes_any=True))
    noise = random.Random(1)
    for reads in (True, False):
        for line in HOSTILE_LINES:
            await send(place, line, reads=reads)
        for line in HOSTILE_COMMANDS:
            await send(place, attach, line, reads=reads)
        for _ in range(20):
            await send(place, attach, noise.randbytes(noise.randrange(1, 5000)), reads=reads)
    assert not held.running.done()
    assert await answer_of(warm_engine(place, demo_gguf, log_path)) == expected


async def test_a_crowd_is_sent_away_and_nobody_waits_for_the_silent(
    place: WarmSocket,
    demo_gguf: Path,
    log_path: Path,
    start_holder: StartHolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(warm_holder, "GREETING_TIMEOUT_S", 0.2)
    await start_holder()
    crowd = [await asyncio.open_unix_connection(place.path) for _ in range(warm_holder.MAX_CALLERS + 8)]
    async with asyncio.timeout(WAIT_LIMIT_S):
        for reader, writer in crowd:
            assert await reader.read() == b""
            writer.close()
    assert await answer_of(warm_engine(place, demo_gguf, log_path, WarmUse.START))


@pytest.mark.parametrize("is_open", [False, True], ids=["by the folder", "by the holder"])
async def test_another_user_is_refused(place: WarmSocket, start_holder: StartHolder, is_open: bool) -> None:
    if os.getuid() != 0:
        pytest.skip("needs a second user, which only root can be")
    await start_holder()
    if is_open:
        for path, mode in ((place.folder.parent, 0o755), (place.folder, 0o755), (place.path, 0o666)):
            path.chmod(mode)
    command = [sys.executable, "-c", CONNECT, str(place.path)]
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[0] in (
        ["0", "ConnectionResetError", "BrokenPipeError"] if is_open else ["PermissionError"]
    )
    async with asyncio.timeout(WAIT_LIMIT_S):
        reader, writer = await asyncio.open_unix_connection(place.path)
        writer.write(warm_messages.encode_greeting(QueryStatus()))
        assert await reader.readline()
        writer.close()


async def test_an_engine_of_another_user_is_not_talked_to(
    place: WarmSocket, start_holder: StartHolder, log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start_holder()
    monkeypatch.setattr(warm_client, "peer_user_id", lambda connection: NOBODY)
    said = list[EngineEvent]()
    warm = WarmEngine(place, WarmUse.START, 5)
    assert await warm.open("k", log_path, sys.executable, None, said.append) is None
    assert [event.key for event in said if isinstance(event, Notice)] == ["engine.warm_impossible"]


async def test_it_ends_when_memory_gets_short(
    start_holder: StartHolder, place: WarmSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_holder, "CHECK_INTERVAL_S", 0.05)
    monkeypatch.setattr(warm_holder, "LOAD_GRACE_S", 1000)
    available = [psutil.virtual_memory().total]
    held = await start_holder(available_bytes=lambda: available[0])
    reader, writer = await asyncio.open_unix_connection(place.path)
    writer.write(warm_messages.encode_greeting(Attach("k", takes_any=True)))
    assert await reader.readline()
    available[0] = 1 << 20
    await asyncio.sleep(0.2)
    assert not held.running.done()  # as long as somebody has his turn
    writer.close()
    async with asyncio.timeout(WAIT_LIMIT_S):
        await held.running
    assert not place.path.exists()


async def test_it_ends_when_nobody_can_find_it_any_more(
    start_holder: StartHolder, place: WarmSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_holder, "CHECK_INTERVAL_S", 0.05)
    monkeypatch.setattr(warm_holder, "LOAD_GRACE_S", 1000)
    held = await start_holder()
    place.path.unlink()
    async with asyncio.timeout(WAIT_LIMIT_S):
        await held.running


async def test_one_that_is_busy_ends_after_the_caller_that_has_its_turn(
    start_holder: StartHolder, place: WarmSocket
) -> None:
    held = await start_holder()
    reader, writer = await asyncio.open_unix_connection(place.path)
    writer.write(warm_messages.encode_greeting(Attach("k", takes_any=True)))
    assert await reader.readline()
    stopping = asyncio.create_task(stop_warm_engines(place))
    async with asyncio.timeout(WAIT_LIMIT_S):
        while place.path.exists():
            await asyncio.wait({stopping}, timeout=0.01)
        assert not held.running.done()
        writer.write(wire.encode(wire.ListDevices(1)))
        assert b"DevicesListed" in await reader.readline()
        writer.close()
        assert await stopping == 1
        await held.running


async def test_windows_is_cold_and_says_so(
    place: WarmSocket, log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_client, "PLATFORM", "win32")
    said = list[EngineEvent]()
    for use in WarmUse:
        opened = await WarmEngine(place, use, 5).open("k", log_path, sys.executable, None, said.append)
        assert opened is None
    assert [event.key for event in said if isinstance(event, Notice)] == ["engine.warm_windows"]
    assert processes_of(place.folder.parent) == []


def test_a_path_is_short_enough_whatever_the_folders_are(tmp_path: Path) -> None:
    (long := tmp_path / ("d" * 120)).mkdir()
    place = WarmSocket.find(tmp_path, "1.2.3", {"XDG_RUNTIME_DIR": str(long)})
    assert len(os.fsencode(place.path)) <= MAX_PATH_BYTES


def test_each_home_and_version_has_a_socket_of_its_own() -> None:
    places = [
        WarmSocket.find(Path(home), version, {}) for home, version in (("/a", "1"), ("/b", "1"), ("/a", "2"))
    ]
    assert len({place.path for place in places}) == 3


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_that_is_not_private_is_refused(place: WarmSocket, mode: int) -> None:
    place.folder.chmod(mode)
    with pytest.raises(WarmSocketError):
        place.require_private_folder(make=True)


def test_a_link_to_a_folder_is_refused(place: WarmSocket, tmp_path: Path) -> None:
    place.folder.rmdir()
    (elsewhere := tmp_path / "elsewhere").mkdir(mode=0o700)
    place.folder.symlink_to(elsewhere)
    with pytest.raises(WarmSocketError):
        place.require_private_folder(make=True)
    place.folder.unlink()


@pytest.mark.parametrize(("credentials", "user"), [((0, 501, 1), 501), ((7, 501, 1), None)])
def test_the_user_at_the_other_end_is_read_as_macos_tells_it(
    credentials: tuple[int, int, int], user: int | None
) -> None:
    class Connection:
        def getsockopt(self, level: int, name: int, length: int) -> bytes:
            assert (level, name) == (0, 1)
            return struct.pack("=IIh66x", *credentials)[:length]

    assert peer_user_id(Connection(), "darwin") == user


def test_the_user_at_the_other_end_is_this_one() -> None:
    ours, other = socket.socketpair(socket.AF_UNIX)
    with ours, other:
        assert peer_user_id(ours) == os.getuid()


@pytest.mark.full
async def test_five_hundred_calls_take_no_more_memory_than_fifty(
    place: WarmSocket, demo_gguf: Path, log_path: Path
) -> None:
    expected = await answer_of(warm_engine(place, demo_gguf, log_path, WarmUse.START))
    sizes = list[tuple[int, int]]()
    for _ in range(10):
        for _ in range(50):
            assert await answer_of(warm_engine(place, demo_gguf, log_path)) == expected
        holder, worker = (process for process in processes_of(place.folder.parent)[:2])
        sizes.append((holder.memory_info().rss, worker.memory_info().rss))
    assert await stop_warm_engines(place) == 1
    for first, last in zip(sizes[1], sizes[-1], strict=True):
        assert last < first * 1.05, sizes
