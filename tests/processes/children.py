"""A child process for the tests: `python -m tests.processes.children NAME` runs the function of that name."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from qwen3_chat.child_process import ChildProcess
from qwen3_chat.parent_death import PARENT_VARIABLE, die_with_parent

NEVER_ENDING_OPERATION = "9 ** 900000000"
"""One operation of an hour, during which no other thread of Python runs."""


def echo() -> None:
    for line in sys.stdin.buffer:
        os.write(1, line)


def write_for_ever() -> None:
    while True:
        os.write(1, b"x" * 4096)


def sleep_with_a_child() -> None:
    """Hand the output to a child that sleeps, too, and tell its process id."""
    command = [sys.executable, "-c", "import time; print('started', flush=True); time.sleep(3600)"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as child:
        print(child.pid, flush=True)


def leave_a_child() -> None:
    """End at once, but leave a child that sleeps and holds the output open."""
    command = [sys.executable, "-c", "import time; time.sleep(3600)"]
    print(subprocess.Popen(command, stdin=subprocess.DEVNULL).pid, flush=True)
    os._exit(0)


def complain() -> None:
    print("out of order", file=sys.stderr)


def tell_parent() -> None:
    print(os.environ.get(PARENT_VARIABLE), flush=True)


def be_busy() -> None:
    print("busy", flush=True)
    eval(NEVER_ENDING_OPERATION)


def have_a_busy_child() -> None:
    """Start a child that is busy for ever, tell its process id, and wait to be killed."""

    async def run() -> None:
        child = await ChildProcess.start(__spec__.name, "be_busy", log_path=Path(os.devnull))
        assert await child.read_lines() == [b"busy"]
        print(child.pid, flush=True)
        await child.wait()

    asyncio.run(run())


if __name__ == "__main__":
    die_with_parent()
    globals()[sys.argv[1]]()
