"""The log of the interface: what is written, what never is, and what happens where it can't be."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from qwen3_chat.cli.composition import describe_run, open_interface_log
from qwen3_chat.config import find_paths
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import StoreError
from qwen3_chat.interface_log import MAX_PER_PERIOD, REPEAT_S, InterfaceLog, describe_failure_in
from qwen3_chat.log_file import MAX_FRAMES, failure_lines, failure_name, log_line, open_log
from tests.conftest import REPOSITORY, WAIT_LIMIT_S

SECRET = "tulips marzipan"

FAIL_IN_A_COMMAND = """
import sys
from qwen3_chat.cli import commands, run

def fail(arguments):
    raise {error}

commands.run_command = fail
sys.exit(run(["chats"]))
"""


@pytest.fixture
def log(tmp_path: Path) -> InterfaceLog:
    return InterfaceLog(tmp_path / "logs" / "interface.log")


def raised(error: BaseException) -> BaseException:
    """An error with a traceback, and with the secret in a local variable of its frame."""
    secret = SECRET
    try:
        raise error
    except BaseException as caught:
        assert secret
        return caught


def quoting_errors() -> list[BaseException]:
    noted = ValueError("text")
    noted.add_note(SECRET)
    caused = KeyError(1)
    caused.__cause__ = raised(ValueError(SECRET))
    while_handling = KeyError(2)
    while_handling.__context__ = raised(UnicodeEncodeError("ascii", SECRET, 0, 6, SECRET))
    return [
        KeyError(SECRET),
        OSError(28, SECRET, SECRET),
        OSError(SECRET),
        sqlite3.OperationalError(SECRET),
        UnicodeEncodeError(SECRET, SECRET, 0, 6, SECRET),
        UnicodeDecodeError(SECRET, SECRET.encode(), 0, 6, SECRET),
        StoreError(ErrorCode.CHAT_NOT_FOUND, reason=SECRET),
        BaseExceptionGroup(SECRET, [raised(ValueError(SECRET)), raised(KeyError(SECRET))]),
        noted,
        caused,
        while_handling,
        AttributeError(SECRET, name=SECRET, obj=SECRET),
        ImportError(SECRET, name=SECRET, path=SECRET),
    ]


@pytest.mark.parametrize("error", quoting_errors(), ids=lambda error: type(error).__name__)
def test_a_failure_is_written_without_anything_that_it_quotes(
    log: InterfaceLog, error: BaseException
) -> None:
    assert log.write_failure(raised(error)) == log.path
    text = log.path.read_text()
    assert type(error).__name__ in text
    assert "test_interface_log.py:" in text
    assert not [word for word in SECRET.split() if word in text]
    sentence = describe_failure_in("The app", error, log.path)
    assert str(log.path) in sentence
    assert not [word for word in SECRET.split() if word in sentence]


def test_what_is_known_to_quote_nothing_is_told() -> None:
    assert failure_name(OSError(28, SECRET)) == "OSError: ENOSPC, No space left on device"
    assert failure_name(StoreError(ErrorCode.CHAT_NOT_FOUND, reason=SECRET)) == "StoreError: chat_not_found"
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("create table words (word text unique)")
        with pytest.raises(sqlite3.IntegrityError) as caught:
            database.executemany("insert into words values (?)", [(SECRET,), (SECRET,)])
    assert failure_name(caught.value) == "IntegrityError: SQLITE_CONSTRAINT_UNIQUE"


def test_causes_come_before_what_they_led_to() -> None:
    error = RuntimeError()
    error.__cause__ = raised(KeyError())
    lines = failure_lines(raised(error))
    assert lines[0] == "the cause:"
    assert [line for line in lines if line.startswith("E ")] == ["E KeyError", "E RuntimeError"]


def test_a_traceback_without_end_and_a_circle_of_causes_have_a_limit() -> None:
    def recurse(depth: int) -> None:
        if depth == 0:
            raise RecursionError
        recurse(depth - 1)

    with pytest.raises(RecursionError) as caught:
        recurse(200)
    other = ValueError()
    other.__context__, caught.value.__context__ = caught.value, other
    lines = failure_lines(caught.value)
    assert len(lines) < MAX_FRAMES + 10
    assert any("more …" in line for line in lines)


def test_only_the_owner_may_read_it_and_a_full_one_makes_room(tmp_path: Path) -> None:
    log = InterfaceLog(tmp_path / "logs" / "interface.log", max_bytes=200)
    for number in range(20):
        log.write(f"line {number}")
    assert {path.name for path in log.path.parent.iterdir()} == {"interface.log", "interface.log.1"}
    for path in log.path.parent.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.stat().st_size < 300
    assert "line 19" in log.path.read_text()


def test_processes_that_write_and_rotate_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "interface.log"
    code = (
        "import sys; from pathlib import Path; from qwen3_chat.interface_log import InterfaceLog\n"
        "log = InterfaceLog(Path(sys.argv[1]), max_bytes=9000)\n"
        "for number in range(100): assert log.write(f'{sys.argv[2]} {number}.')"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(path), name], cwd=REPOSITORY) for name in "abc"
    ]
    assert [process.wait(WAIT_LIMIT_S) for process in processes] == [0, 0, 0]
    written = "".join(file.read_text() for file in (path.with_name("interface.log.1"), path))
    lines = [f" {name} {number}." for name in "abc" for number in range(100)]
    assert [line for line in lines if line not in written] == []


def test_a_writer_that_has_the_file_open_loses_nothing_by_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    descriptor = open_log(path, max_bytes=10)
    os.write(descriptor, log_line("before"))
    os.close(open_log(path, max_bytes=10))
    os.write(descriptor, log_line("after"))
    os.close(descriptor)
    assert path.read_text() == ""
    assert "after" in path.with_name("engine.log.1").read_text()


def test_a_log_that_cannot_be_written_is_not_named(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder would be")
    log = InterfaceLog(tmp_path / "logs" / "interface.log")
    assert not log.write("a line")
    assert log.write_failure(raised(KeyError())) is None
    assert describe_failure_in("The app", KeyError(), None) == (
        "The app failed with an unexpected error (KeyError)."
    )


def test_a_failure_at_each_tick_is_written_once_a_minute_with_its_number(tmp_path: Path) -> None:
    now_s = 0.0
    log = InterfaceLog(tmp_path / "interface.log", lambda: now_s)
    error = raised(KeyError())
    for _ in range(1000):
        assert log.write_failure(error) == log.path
    assert log.path.read_text().count("E KeyError") == 1
    now_s = REPEAT_S
    log.write_failure(error)
    text = log.path.read_text()
    assert "E KeyError, 999 more times" in text
    assert text.count("E KeyError\n") == 2
    log.write_failure(error)
    log.flush()
    assert log.path.read_text().endswith("E KeyError, 1 more times\n")


def test_failures_that_all_differ_have_a_limit_too(log: InterfaceLog) -> None:
    errors = [type(f"Failure{number}", (Exception,), {})() for number in range(MAX_PER_PERIOD + 5)]
    written = [log.write_failure(error) is not None for error in errors]
    assert written == [True] * MAX_PER_PERIOD + [False] * 5


async def fail_in_a_task() -> None:
    async def fail() -> None:
        raise KeyError(SECRET)

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    gc.collect()


async def fail_in_a_callback() -> None:
    def fail(text: str) -> None:
        raise KeyError(text)

    asyncio.get_running_loop().call_soon(fail, SECRET)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def fail_in_a_thread() -> None:
    def fail() -> None:
        raise KeyError(SECRET)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


async def fail_in_a_destructor() -> None:
    class Failing:
        def __del__(self) -> None:
            raise KeyError(SECRET)

    Failing()
    gc.collect()


@pytest.mark.parametrize("fail", [fail_in_a_task, fail_in_a_callback, fail_in_a_thread, fail_in_a_destructor])
async def test_failures_that_nobody_awaits_are_written(
    log: InterfaceLog, fail: Callable[[], asyncio.Future[None]], capfd: pytest.CaptureFixture[str]
) -> None:
    hooks = (threading.excepthook, sys.unraisablehook)
    with log.stray_failures():
        await fail()
    assert (threading.excepthook, sys.unraisablehook) == hooks
    text = log.path.read_text()
    assert "E KeyError" in text
    assert "fail" in text
    assert SECRET not in text
    assert capfd.readouterr() == ("", "")


async def test_each_run_of_the_interface_has_a_first_and_a_last_line(tmp_path: Path) -> None:
    paths = find_paths({"QWEN3_CHAT_HOME": str(tmp_path)})
    async with open_interface_log(paths, "textual 8"):
        pass
    first, last = paths.interface_log_file.read_text().splitlines()
    assert "qwen3-chat " in first
    assert "(textual 8) · Python 3" in first
    assert "the interface ended" in last
    line = describe_run("textual 8", {"TERM": "xterm\x1b[31m", "COLORTERM": "truecolor" * 20})
    assert r"TERM='xterm\x1b[31m'" in line
    assert "language en" in line
    assert len(line) < 300


@pytest.mark.parametrize("error", [f"KeyError({SECRET!r})", f"PermissionError(13, {SECRET!r}, {SECRET!r})"])
def test_a_bug_in_a_command_is_one_sentence_that_names_the_log(tmp_path: Path, error: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAIL_IN_A_COMMAND.format(error=error)],
        env={**os.environ, "QWEN3_CHAT_HOME": str(tmp_path)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    log_path = tmp_path / "logs" / "interface.log"
    (sentence,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert sentence.startswith(f"The command failed with an unexpected error ({error.partition('(')[0]}")
    assert sentence.endswith(f"; {log_path} shows where.")
    text = log_path.read_text()
    assert "in fail" in text
    assert SECRET not in sentence + text


def test_the_doctor_names_both_logs(tmp_path: Path) -> None:
    paths = find_paths({"QWEN3_CHAT_HOME": str(tmp_path)})
    names = {"interface_log": str(paths.interface_log_file), "engine_log": str(paths.engine_log_file)}
    for arguments in (["doctor", "--json"], ["doctor"], ["--lang", "zh", "doctor"]):
        done = subprocess.run(
            [sys.executable, "-m", "qwen3_chat", *arguments],
            env={**os.environ, "QWEN3_CHAT_HOME": str(tmp_path)},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )
        if "--json" in arguments:
            assert names.items() <= json.loads(done.stdout).items()
        else:
            assert all(name in done.stdout for name in names.values())


@pytest.mark.skipif(os.name == "nt", reason="needs a system with modes")
def test_a_log_that_is_no_file_keeps_its_mode(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    pipe.chmod(0o622)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.close(open_log(pipe))
    os.close(reader)
    assert pipe.stat().st_mode & 0o777 == 0o622
