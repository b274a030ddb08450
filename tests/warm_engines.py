"""Warm engines for tests: a place of their own, and the check that none is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

FOLDER_VARIABLE = "XDG_RUNTIME_DIR"
END_LIMIT_S = 30


@contextmanager
def own_runtime_folder() -> Iterator[Path]:
    """Make a folder whose path is short enough for sockets; fail if an engine still runs at the end."""
    folder = Path(tempfile.mkdtemp(prefix="qw", dir="/tmp"))
    try:
        yield folder
        _, left = psutil.wait_procs(processes_of(folder), timeout=END_LIMIT_S)
        for process in left:
            with suppress(psutil.Error):
                os.kill(process.pid, signal.SIGKILL)
        assert left == []
    finally:
        shutil.rmtree(folder)


def holders_of(folder: Path) -> list[psutil.Process]:
    """The processes that keep an engine warm in a folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = process.cmdline()
            is_holder = "qwen3_chat.engine.warm_holder" in command
            if is_holder and any(part.startswith(str(folder)) for part in command):
                found.append(process)
    return found


def processes_of(folder: Path) -> list[psutil.Process]:
    """The holders in a folder with their workers."""
    holders = holders_of(folder)
    children = []
    for holder in holders:
        with suppress(psutil.Error):
            children += holder.children(recursive=True)
    return holders + children


def wait_for_end(processes: list[psutil.Process]) -> None:
    """Wait until all of them have ended."""
    _, alive = psutil.wait_procs(processes, timeout=END_LIMIT_S)
    assert alive == []
