"""The downloads of this run: each goes on in the background, is paused, resumed, given up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from qwen3_chat.errors import Qwen3ChatError
from qwen3_chat.hub import (
    CopyUsed,
    DownloadDelayed,
    DownloadProgressed,
    FileChecked,
    ModelPulled,
    PullEvent,
    SourceAsked,
    WantedModel,
)
from qwen3_chat.hub.pull import Report
from qwen3_chat.shelf.rows import Key
from qwen3_chat.texts import t

Find = Callable[[str], Awaitable[WantedModel]]
Fetch = Callable[[WantedModel, Report], Awaitable[ModelPulled]]


class Phase(StrEnum):
    """What a download is at."""

    STARTING = "starting"
    CHECKING = "checking"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    FAILED = "failed"
    DONE = "done"


RUNNING = (Phase.STARTING, Phase.CHECKING, Phase.RUNNING, Phase.WAITING)


@dataclass(frozen=True, slots=True)
class Download:
    """How far a model is; `said` is a sentence about what is in the way, `path` the file once it is here."""

    wanted: str
    key: Key
    phase: Phase
    done_bytes: int = 0
    total_bytes: int = 0
    bytes_per_s: float = 0.0
    left_s: float | None = None
    said: str = ""
    path: Path | None = None

    @property
    def fraction(self) -> float:
        """How much of it is here, from 0 to 1."""
        return min(1.0, self.done_bytes / self.total_bytes) if self.total_bytes else 0.0

    @property
    def is_running(self) -> bool:
        """Whether it goes on by itself."""
        return self.phase in RUNNING


class Downloads:
    """Runs each download in a task of its own; whoever listens is told of each change."""

    def __init__(self, find: Find, fetch: Fetch) -> None:
        self._find = find
        self._fetch = fetch
        self._states: dict[Key, Download] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self.listeners: list[Callable[[Download], None]] = []

    @property
    def states(self) -> Mapping[Key, Download]:
        """Every download of this run, the finished ones included."""
        return self._states

    @property
    def running(self) -> tuple[Download, ...]:
        """Those that go on."""
        return tuple(state for state in self._states.values() if state.is_running)

    def start(self, wanted: str, key: Key, total_bytes: int) -> None:
        """Fetch a model, or go on with it where it was paused or failed."""
        if key in self._tasks:
            return
        earlier = self._states.get(key)
        done_bytes = earlier.done_bytes if earlier else 0
        self._change(Download(wanted, key, Phase.STARTING, done_bytes, total_bytes))
        task = self._tasks[key] = asyncio.create_task(self._run(wanted, key), name=f"fetch {wanted}")
        task.add_done_callback(partial(self._ended, key))

    def remember(self, wanted: str, key: Key, done_bytes: int, total_bytes: int) -> None:
        """Take in what an earlier run left, as if it was paused; this run may know more."""
        if key not in self._states:
            self._states[key] = Download(wanted, key, Phase.PAUSED, done_bytes, total_bytes)

    async def pause(self, key: Key) -> None:
        """Stop it for now; what arrived is kept."""
        if (task := self._tasks.get(key)) is not None:
            task.cancel()
            await asyncio.wait({task})

    async def forget(self, key: Key) -> None:
        """Stop it for good; whoever calls removes what arrived."""
        await self.pause(key)
        await asyncio.sleep(0)  # what ends with the task has been told then
        self._states.pop(key, None)

    async def close(self) -> None:
        """Pause everything."""
        for key in list(self._tasks):
            await self.pause(key)

    async def _run(self, wanted: str, key: Key) -> None:
        try:
            pulled = await self._fetch(await self._find(wanted), lambda event: self._take_in(key, event))
        except Qwen3ChatError as error:
            self._update(key, phase=Phase.FAILED, bytes_per_s=0.0, left_s=None, said=str(error))
        else:
            size_bytes = self._states[key].total_bytes
            self._update(key, phase=Phase.DONE, done_bytes=size_bytes, said="", path=Path(pulled.path))

    def _ended(self, key: Key, task: asyncio.Task[None]) -> None:
        """Let the task go; one that was cancelled, perhaps before it began, leaves a pause."""
        del self._tasks[key]
        if not self._states[key].is_running:
            return
        error = None if task.cancelled() else task.exception()
        phase = Phase.FAILED if error else Phase.PAUSED
        self._update(key, phase=phase, bytes_per_s=0.0, left_s=None, said=repr(error) if error else "")

    def _take_in(self, key: Key, event: PullEvent) -> None:
        match event:
            case FileChecked(file=file):
                self._update(key, phase=Phase.CHECKING, said=t("pull.checking", file=file))
            case SourceAsked(source=source):
                self._update(key, said=t("pull.asking", host=source))
            case DownloadProgressed(done_bytes=done, total_bytes=total, bytes_per_s=speed, left_s=left_s):
                self._update(
                    key,
                    phase=Phase.RUNNING,
                    done_bytes=done,
                    total_bytes=total,
                    bytes_per_s=speed,
                    left_s=left_s,
                    said="",
                )
            case DownloadDelayed(reason=reason):
                self._update(key, phase=Phase.WAITING, said=reason)
            case CopyUsed(path=path):
                self._update(key, said=t("pull.copy", path=path))
            case ModelPulled():
                pass  # told when the task ends

    def _update(self, key: Key, **changes: object) -> None:
        self._change(replace(self._states[key], **changes))  # type: ignore[arg-type]

    def _change(self, state: Download) -> None:
        self._states[state.key] = state
        for listen in tuple(self.listeners):
            listen(state)
