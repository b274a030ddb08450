from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest

from qwen3_chat.child_process import ChildProcess, LineTooLong
from tests.conftest import WAIT_LIMIT_S

MODULE = "tests.processes.children"


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "child.log"


def content(path: Path) -> str:
    return path.read_text()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@asynccontextmanager
async def running(name: str, log_path: Path, **options: Any) -> AsyncIterator[ChildProcess]:
    child = await ChildProcess.start(MODULE, name, log_path=log_path, **options)
    try:
        yield child
    finally:
        child.kill()
        await child.wait()
        await child.close_input()


async def end(child: ChildProcess, grace_s: float = WAIT_LIMIT_S) -> int:
    waiting = asyncio.create_task(child.wait())
    await child.end(waiting, grace_s)
    return await waiting


async def test_lines_arrive_whole_however_the_output_is_cut(log_path: Path) -> None:
    lines = [b"a", b"", b"x" * 1_000_000, "天气".encode()]
    async with running("echo", log_path) as child:
        for line in lines:
            child.write(line + b"\n")
        received: list[bytes] = []
        while len(received) < len(lines):
            received += await child.read_lines()
        assert received == lines
        await end(child)
        assert await child.read_lines() == []


async def test_a_line_without_an_end_is_refused(log_path: Path) -> None:
    async with running("write_for_ever", log_path, max_line_bytes=100_000) as child:
        with pytest.raises(LineTooLong, match="100000 bytes"):
            await child.read_lines()


async def test_a_child_whose_input_is_closed_ends_by_itself(log_path: Path) -> None:
    async with running("echo", log_path) as child:
        assert await end(child) == 0
        child.write(b"nobody reads that\n")


async def test_a_failure_of_the_reader_is_no_reason_to_leave_a_child_behind(log_path: Path) -> None:
    async def read() -> None:
        raise RuntimeError("a reader's mistake")

    async with running("sleep_with_a_child", log_path) as child:
        process = psutil.Process(child.pid)
        with pytest.raises(RuntimeError, match="mistake"):
            await child.end(asyncio.create_task(read()))
        await child.wait()
        assert not process.is_running()


def wait_for_death(process: psutil.Process) -> None:
    """Wait for the end of a process, which stays a zombie where nobody collects the dead of others."""
    with suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)


@pytest.mark.parametrize("name", ["sleep_with_a_child", "leave_a_child"])
async def test_a_child_that_does_not_end_is_killed_with_all_that_it_started(
    log_path: Path, name: str
) -> None:
    async with running(name, log_path) as child:
        grandchild = psutil.Process(int((await child.read_lines())[0]))
        await end(child, grace_s=0)
        wait_for_death(grandchild)


async def test_what_a_child_writes_to_stderr_is_in_its_log(log_path: Path) -> None:
    async with running("complain", log_path) as child:
        assert await child.wait() == 0
    assert (content(log_path), mode(log_path)) == ("out of order\n", 0o600)


async def test_a_log_that_cannot_be_opened_stops_no_child(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with running("complain", tmp_path / "file" / "child.log") as child:
        assert await child.wait() == 0


async def test_an_interpreter_that_is_not_there_is_an_error(log_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await ChildProcess.start(MODULE, "echo", log_path=log_path, python="/nowhere/python")


@pytest.mark.skipif(sys.platform == "win32", reason="process groups of POSIX")
async def test_a_child_has_a_process_group_of_its_own(log_path: Path) -> None:
    async with running("echo", log_path) as child:
        assert os.getpgid(child.pid) == child.pid


async def test_a_child_keeps_the_number_of_its_parent_to_itself(log_path: Path) -> None:
    async with running("tell_parent", log_path) as child:
        assert await child.read_lines() == [b"None"]


def test_a_child_of_another_thread_lives_as_long_as_the_loop_in_it(log_path: Path) -> None:
    answers: list[list[bytes]] = []

    async def talk() -> None:
        async with running("echo", log_path) as child:
            child.write(b"Hello\n")
            answers.append(await child.read_lines())

    thread = Thread(target=lambda: asyncio.run(talk()))
    thread.start()
    thread.join()
    assert answers == [[b"Hello"]]
