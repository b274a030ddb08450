"""The interpreter in the jail: what it gives back, and how it ends at its limits."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from qwen3_chat.jail.code_runner import MAX_OUTPUT_CHARS, MAX_REPR_CHARS
from qwen3_chat.jail.jail_settings import JailSettings, jail_problem
from qwen3_chat.jail.jailed_python import JailedPython, JailStartError, RunEnd
from qwen3_chat.record_copies import replace
from qwen3_chat.texts.formatting import MIB
from tests.conftest import WAIT_LIMIT_S

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or jail_problem() is not None,
    reason="needs a Linux kernel with Landlock on x86-64",
)

FOR_EVER = "while True: pass"


@pytest.fixture
def settings(tmp_path: Path) -> JailSettings:
    return JailSettings(str(tmp_path), run_s=WAIT_LIMIT_S)


@pytest.fixture
async def jail(settings: JailSettings) -> AsyncIterator[JailedPython]:
    jail = JailedPython(settings)
    yield jail
    await jail.close()


async def ended(settings: JailSettings, code: str) -> RunEnd:
    """How code ends; the next run must find another interpreter, without the variables."""
    jail = JailedPython(settings)
    try:
        assert (await jail.run("x = 1")).end is RunEnd.DONE
        run = await jail.run(code)
        after = await JailedPython.run(jail, "'x' in globals()") if run.end is not RunEnd.FOLDER else None
        assert after is None or (after.value, after.is_first) == ("False", True)
        return run.end
    finally:
        await jail.close()


@pytest.mark.parametrize(
    ("code", "output", "value"),
    [
        ("1 + 1", "", "2"),
        ("print('a')\nprint('b', end='')", "a\nb", ""),
        ("x = 3\nx", "", "3"),
        ("None", "", ""),
        ("", "", ""),
        ("# nothing", "", ""),
        ("'你好'", "", "'你好'"),
        ("import sys; sys.stderr.write('e'); None", "e", ""),
        ("import sys; sys.stdout.buffer.write(b'\\xff\\n'); None", "\ufffd\n", ""),
        ("print('\\ud800')", "\\ud800\n", ""),
        ("exit()", "", ""),
        ("__name__", "", "'__main__'"),
        ("for n in range(3): print(n)", "0\n1\n2\n", ""),
    ],
)
async def test_output_and_the_value_of_the_last_expression_come_back(
    jail: JailedPython, code: str, output: str, value: str
) -> None:
    run = await jail.run(code)
    assert (run.end, run.output, run.value, run.error) == (RunEnd.DONE, output, value, "")


@pytest.mark.parametrize(
    ("code", "report"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("x = (", "SyntaxError: '(' was never closed"),
        ("def f(): f()\nf()", "RecursionError"),
        ("input()", "EOFError"),
        ("exit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import a_module_that_is_nowhere", "ModuleNotFoundError"),
        ("b = bytearray(10 * 2**30)", "MemoryError"),
        ("x = '\0'", "null bytes"),
        ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "E"),
        ("import sys; sys.stdout = None; print(1)", ""),
    ],
)
async def test_a_failure_is_told_and_the_interpreter_lives_on(
    jail: JailedPython, code: str, report: str
) -> None:
    await jail.run("before = 1")
    run = await jail.run(code)
    assert run.end is RunEnd.DONE
    assert report in run.error
    assert "code_runner" not in run.error
    assert (await jail.run("before")).value == "1"


async def test_variables_live_from_run_to_run(jail: JailedPython) -> None:
    assert (await jail.run("x = 20\ndef double(): return 2 * x")).is_first
    run = await jail.run("double()")
    assert (run.value, run.is_first) == ("40", False)
    assert (await jail.run("_ + 2")).value == "42"


async def test_files_that_were_written_are_named(jail: JailedPython) -> None:
    await jail.run("open('old.txt', 'w').write('old')")
    run = await jail.run(
        "import os; os.mkdir('d'); open('d/new.csv', 'w').write('1')\nopen('.tmp/hidden', 'w')"
    )
    assert run.files == ("d/new.csv",)
    assert (await jail.run("open('old.txt').read()")).files == ()
    assert (await jail.run("open('old.txt', 'a').write('er')")).files == ("old.txt",)


async def test_long_output_and_long_values_are_cut(jail: JailedPython) -> None:
    run = await jail.run(f"print('x' * {MAX_OUTPUT_CHARS + 99}); 'y' * 10**6")
    assert (len(run.output), run.n_dropped) == (MAX_OUTPUT_CHARS, 100)  # with the end of the line
    assert len(run.value) == MAX_REPR_CHARS + 1


async def test_a_run_over_its_time_is_killed_with_what_it_printed(settings: JailSettings) -> None:
    jail = JailedPython(replace(settings, run_s=0.5))
    await jail.run("x = 1")
    run = await jail.run(f"print('begun')\n{FOR_EVER}")
    assert (run.end, run.output) == (RunEnd.TIME, "begun\n")
    await jail.close()


LIMITS = {
    "time that no signal ends": (
        {"run_s": 0.5},
        f"import signal\nfor s in (1, 2, 15, 24): signal.signal(s, signal.SIG_IGN)\n{FOR_EVER}",
        RunEnd.TIME,
    ),
    "processor time": ({"processor_s": 1}, FOR_EVER, RunEnd.ENDED),
    "a flood through the channel": (
        {},
        "import os\nwhile True:\n    for fd in range(3, 9):\n"
        "        try: os.write(fd, b'x' * 65536)\n        except OSError: pass",
        RunEnd.OUTPUT,
    ),
    "a message that is none": (
        {},
        "import os\nfor fd in range(3, 9):\n    try: os.write(fd, b'[]\\n')\n    except OSError: pass\n"
        + FOR_EVER,
        RunEnd.OUTPUT,
    ),
    "many files": (
        {"folder_files": 50},
        f"for n in range(60): open(f'f{{n}}', 'w').close()\n{FOR_EVER}",
        RunEnd.FOLDER,
    ),
    "many folders": ({"folder_files": 50}, "import os\nfor n in range(60): os.mkdir(f'd{n}')", RunEnd.FOLDER),
    "a full folder": (
        {"folder_bytes": MIB},
        f"open('big', 'wb').write(bytes(2 * 2**20))\n{FOR_EVER}",
        RunEnd.FOLDER,
    ),
    "a crash": ({}, "import ctypes; ctypes.string_at(0)", RunEnd.ENDED),
    "leaving": ({}, "import os; os._exit(0)", RunEnd.ENDED),
}


@pytest.mark.parametrize("name", LIMITS)
async def test_a_run_ends_at_its_limits(settings: JailSettings, name: str) -> None:
    changes, code, end = LIMITS[name]
    assert await ended(replace(settings, **changes), code) is end  # type: ignore[arg-type]


SURVIVED = {
    "an endless file": "f = open('endless', 'wb')\nwhile True: f.write(bytes(2**20))",
    "a bomb of threads": "import threading, time\n"
    "while True: threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
    "all descriptors": "import os\nwhile True: os.dup(0)",
    "memory in small pieces": "a = []\nwhile True: a.append(bytes(2**24))",
    "a deep literal": "eval('[' * 10**5)",
}


@pytest.mark.parametrize("name", SURVIVED)
async def test_a_limit_of_the_system_is_an_error_of_the_code(settings: JailSettings, name: str) -> None:
    jail = JailedPython(replace(settings, file_bytes=4 * MIB, memory_bytes=512 * MIB))
    run = await jail.run(SURVIVED[name])
    assert run.end in (RunEnd.DONE, RunEnd.ENDED)
    assert run.error or run.end is RunEnd.ENDED
    await jail.close()
    assert max(sizes_of(settings.folder), default=0) <= 4 * MIB


def sizes_of(folder: str) -> list[int]:
    return [path.stat().st_size for path in Path(folder).rglob("*")]


async def test_a_run_that_is_cancelled_ends_at_once_and_the_next_one_begins_anew(
    jail: JailedPython, tmp_path: Path
) -> None:
    await jail.run("x = 1")
    running = asyncio.create_task(jail.run(f"open('begun', 'w').close()\n{FOR_EVER}"))
    async with asyncio.timeout(WAIT_LIMIT_S):
        while not (tmp_path / "begun").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    pid = jail.pid
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert (await jail.run("'x' in globals()")).value == "False"


async def test_a_python_that_does_not_start_is_told(settings: JailSettings, tmp_path: Path) -> None:
    with pytest.raises(JailStartError) as raised:
        await JailedPython(settings, str(tmp_path / "nothing")).run("1")
    assert not raised.value.is_refused


async def no_code_runs(settings: JailSettings, folder: Path, script: str) -> None:
    """Check that code is refused where the jail is started by a script that changes what the system does."""
    python = folder / "python"
    (folder / "system.py").write_text(script)
    command = shlex.join([sys.executable, "-P", f"{folder}/system.py"])
    python.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    python.chmod(0o755)
    with pytest.raises(JailStartError) as raised:
        await JailedPython(settings, str(python)).run("open('ran', 'w')")
    assert raised.value.is_refused
    assert not (folder / "ran").exists()


async def test_where_the_kernel_refuses_no_code_runs(settings: JailSettings, tmp_path: Path) -> None:
    script = (
        "import sys, errno, qwen3_chat.jail.landlock as landlock\n"
        "landlock.landlock_version = lambda *a: 0\n"
        "from qwen3_chat.jail.__main__ import main\nmain(sys.argv[4:])\n"
    )
    await no_code_runs(settings, tmp_path, script)


async def test_where_the_system_does_not_do_what_it_says_no_code_runs(
    settings: JailSettings, tmp_path: Path
) -> None:
    script = (
        "import sys, qwen3_chat.jail.__main__ as jail\n"
        "jail.install_filter = jail.restrict_files = lambda *a: None\n"
        "jail.main(sys.argv[4:])\n"
    )
    await no_code_runs(settings, tmp_path, script)


async def test_without_protection_the_limits_still_hold(settings: JailSettings, tmp_path: Path) -> None:
    (tmp_path.parent / "outside.txt").write_text("outside")
    jail = JailedPython(replace(settings, is_confined=False))
    assert (await jail.run("open('../outside.txt').read()")).value == "'outside'"
    assert "MemoryError" in (await jail.run("bytearray(10 * 2**30)")).error
    await jail.close()
