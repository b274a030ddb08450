"""The client of the jail: code in, what it printed and made out, the process killed at its limits."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass  # noqa: TID251 - of a dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from qwen3_chat.child_process import ChildProcess, LineTooLong
from qwen3_chat.jail.jail_settings import REFUSED_STATUS, JailSettings

MAX_START_S: Final = 60.0
"""The longest that an interpreter may take to start; it takes a tenth of a second."""

MAX_JAIL_LINE_BYTES: Final = 4 << 20
"""The most bytes that one run may send: its output, its value, its report, as JSON."""

WATCH_PAUSE_S: Final = 0.2
"""The time between two looks at the size of the folder."""

TEMPORARY_FOLDER: Final = ".tmp"
"""The folder in that of the code that holds temporary files; emptied when an interpreter starts."""

CACHE_FOLDER: Final = ".cache"
"""The folder in that of the code that holds what libraries prepare once: matplotlib looks for fonts."""

_MODULE: Final = "qwen3_chat.jail"
_MAX_LEVELS: Final = 16
_MAX_THREADS: Final = 4


class RunEnd(StrEnum):
    """The way in which a run ended; all but `DONE` lose the variables."""

    DONE = "done"
    TIME = "time"
    """It took longer than it may."""
    OUTPUT = "output"
    """It sent more than it may, or wrote what is no message."""
    FOLDER = "folder"
    """Its folder holds more than it may."""
    ENDED = "ended"
    """The process ended by itself: it ran out of memory or of processor time, crashed, or left."""


@dataclass(frozen=True, slots=True)
class CodeRun:
    """The outcome of a run; `files` are the names of those that it wrote, relative to the folder."""

    end: RunEnd
    output: str = ""
    value: str = ""
    error: str = ""
    n_dropped: int = 0
    files: tuple[str, ...] = ()
    is_first: bool = False
    """True for the first run of an interpreter: there are no variables yet."""
    status: int | None = None
    """The exit status of a process that ended by itself."""


class JailStartError(Exception):
    """An interpreter did not start; `is_refused` where the kernel did not take the rights away."""

    def __init__(self, *, is_refused: bool) -> None:
        super().__init__(is_refused)
        self.is_refused = is_refused


class JailedPython:
    """An interpreter in a process of its own, started when code is first run, and again after it was lost."""

    def __init__(self, settings: JailSettings, python: str = sys.executable) -> None:
        self._settings = settings
        self._python = python
        self._child: ChildProcess | None = None
        self._lines: list[bytes] = []
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The id of the process; None where none runs."""
        return self._child.pid if self._child else None

    async def run(self, code: str) -> CodeRun:
        """Run code and return what came of it; a run that is cancelled loses the variables.

        Raises:
            JailStartError: no interpreter could be started.
        """
        async with self._turn:
            is_first = self._child is None
            before = await asyncio.to_thread(self._files)
            collected = _Collected()
            end, status = RunEnd.ENDED, None
            try:
                child = self._child or await self._start()
                child.write(json.dumps({"code": code}).encode() + b"\n")
                end = await self._follow(child, collected)
            finally:
                if end is not RunEnd.DONE:
                    status = await asyncio.shield(self._lose())
            files = _written(before, await asyncio.to_thread(self._files))
            return CodeRun(
                end,
                "".join(collected.output),
                collected.value,
                collected.error,
                collected.n_dropped,
                files,
                is_first,
                status if end is RunEnd.ENDED else None,
            )

    async def close(self) -> None:
        """End the process; the next run starts another."""
        async with self._turn:
            await self._lose()

    async def _start(self) -> ChildProcess:
        await asyncio.to_thread(_empty_folder, Path(self._settings.folder, TEMPORARY_FOLDER))
        settings = json.dumps(asdict(self._settings))
        try:
            child = await ChildProcess.start(
                _MODULE,
                settings,
                log_path=None,
                python=self._python,
                max_line_bytes=MAX_JAIL_LINE_BYTES,
                environment=_environment(self._settings.folder),
            )
        except OSError as error:
            raise JailStartError(is_refused=False) from error
        self._child, self._lines = child, []
        try:
            async with asyncio.timeout(MAX_START_S):
                is_ready = await self._next_message(child) is not None
        except (TimeoutError, LineTooLong, ValueError):
            is_ready = False
        if not is_ready:
            raise JailStartError(is_refused=await self._lose() == REFUSED_STATUS)
        return child

    async def _follow(self, child: ChildProcess, collected: _Collected) -> RunEnd:
        """Read what a run sends until it is done or over a limit."""
        watching = asyncio.create_task(self._watch_folder(), name="folder of code")
        reading = asyncio.create_task(self._collect(child, collected), name="output of code")
        try:
            done, _ = await asyncio.wait(
                (watching, reading), timeout=self._settings.run_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                return RunEnd.TIME
            if reading in done:
                end = reading.result()
                is_full = end is RunEnd.DONE and await asyncio.to_thread(self._is_full)
                return RunEnd.FOLDER if is_full else end
            return RunEnd.FOLDER
        finally:
            for task in (watching, reading):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _collect(self, child: ChildProcess, collected: _Collected) -> RunEnd:
        n_bytes = 0
        try:
            while (line := await self._next_line(child)) is not None:
                n_bytes += len(line)
                if n_bytes > MAX_JAIL_LINE_BYTES:
                    return RunEnd.OUTPUT
                if collected.add(_parsed(line)):
                    return RunEnd.DONE
        except (LineTooLong, ValueError):
            return RunEnd.OUTPUT
        return RunEnd.ENDED

    async def _next_message(self, child: ChildProcess) -> Mapping[str, object] | None:
        line = await self._next_line(child)
        return None if line is None else _parsed(line)

    async def _next_line(self, child: ChildProcess) -> bytes | None:
        while not self._lines:
            lines = await child.read_lines()
            if not lines:
                return None
            self._lines = lines[::-1]
        return self._lines.pop()

    async def _watch_folder(self) -> None:
        """Return once the folder holds more than it may."""
        is_full = False
        while not is_full:
            await asyncio.sleep(WATCH_PAUSE_S)
            is_full = await asyncio.to_thread(self._is_full)

    def _is_full(self) -> bool:
        files = self._files(with_temporary=True)
        return (
            len(files) > self._settings.folder_files
            or sum(size for _, size in files.values()) > self._settings.folder_bytes
        )

    def _files(self, *, with_temporary: bool = False) -> dict[str, tuple[int, int]]:
        """Return time and size of the files and folders below the folder; one more than allowed at most."""
        found = dict[str, tuple[int, int]]()
        _add_files(self._settings.folder, "", found, self._settings.folder_files + 1, with_temporary)
        return found

    async def _lose(self) -> int | None:
        """Kill the process, and return the exit status that it had."""
        child, self._child = self._child, None
        return None if child is None else await child.discard()


class _Collected:
    """The messages of a run so far."""

    def __init__(self) -> None:
        self.output = list[str]()
        self.value = self.error = ""
        self.n_dropped = 0

    def add(self, message: Mapping[str, object]) -> bool:
        """Add a message; return whether it was the last.

        Raises:
            ValueError: it is none that the interpreter sends.
        """
        match message:
            case {"output": str(text)}:
                self.output.append(text)
                return False
            case {"value": str(value), "error": str(error), "dropped": int(dropped)}:
                self.value, self.error, self.n_dropped = value, error, dropped
                return True
            case _:
                raise ValueError("no message of the interpreter")


def _parsed(line: bytes) -> Mapping[str, object]:
    try:
        message = json.loads(line)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(message, dict):
        raise ValueError("no object")  # noqa: TRY004
    return message


def _add_files(
    folder: str,
    prefix: str,
    found: dict[str, tuple[int, int]],
    limit: int,
    with_temporary: bool,
    level: int = 0,
) -> None:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if len(found) >= limit:
                return
            name = f"{prefix}{entry.name}"
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    if level or with_temporary or entry.name not in (TEMPORARY_FOLDER, CACHE_FOLDER):
                        if with_temporary:
                            found[f"{name}/"] = (0, 0)
                        if level < _MAX_LEVELS:
                            _add_files(entry.path, f"{name}/", found, limit, with_temporary, level + 1)
                elif stat.S_ISREG(status.st_mode):
                    found[name] = (status.st_mtime_ns, status.st_size)


def _written(before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]) -> tuple[str, ...]:
    return tuple(sorted(name for name, facts in after.items() if before.get(name) != facts))


def _empty_folder(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _environment(folder: str) -> dict[str, str]:
    """Return all that code finds in its environment: nothing of the user's."""
    temporary = str(Path(folder, TEMPORARY_FOLDER))
    threads = str(min(_MAX_THREADS, os.cpu_count() or 1))
    return {
        "HOME": folder,
        "TMPDIR": temporary,
        "LANG": "C.UTF-8",
        "PATH": "/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": str(Path(folder, CACHE_FOLDER, "matplotlib")),
        "XDG_CACHE_HOME": str(Path(folder, CACHE_FOLDER)),
        "MALLOC_ARENA_MAX": "2",  # each takes 64 MiB of the address space, which is limited
        **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads),
    }
