"""The downloads of this run, in the background; each can be paused, resumed and discarded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from qwen3_chat.errors import Qwen3ChatError
from qwen3_chat.models.catalog import ModelReference
from qwen3_chat.models.hub import (
    CopyUsed,
    DownloadDelayed,
    DownloadProgressed,
    FileChecked,
    ModelPulled,
    PullEvent,
    PullTarget,
    SourceAsked,
)
from qwen3_chat.models.hub.model_pull import PullEventSink
from qwen3_chat.models.picker.model_table import VariantKey
from qwen3_chat.record_copies import replace
from qwen3_chat.texts import t

TargetResolver = Callable[[ModelReference], Awaitable[PullTarget]]
TargetPuller = Callable[[PullTarget, PullEventSink], Awaitable[ModelPulled]]


class DownloadPhase(StrEnum):
    """The phase of a download."""

    STARTING = "starting"
    CHECKING = "checking"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    FAILED = "failed"
    DONE = "done"


ACTIVE_PHASES = (DownloadPhase.STARTING, DownloadPhase.CHECKING, DownloadPhase.RUNNING, DownloadPhase.WAITING)


@dataclass(frozen=True, slots=True)
class Download:
    """The state of a download; `message` is a sentence on any delay, `path` the complete file."""

    reference: ModelReference
    key: VariantKey
    phase: DownloadPhase
    done_bytes: int = 0
    total_bytes: int = 0
    bytes_per_s: float = 0.0
    left_s: float | None = None
    message: str = ""
    path: Path | None = None

    @property
    def title(self) -> str:
        """The name with the quant, for notices."""
        return " ".join(self.key)

    @property
    def fraction(self) -> float:
        """The share that has arrived, from 0 to 1."""
        return min(1.0, self.done_bytes / self.total_bytes) if self.total_bytes else 0.0

    @property
    def is_running(self) -> bool:
        """True while it continues by itself."""
        return self.phase in ACTIVE_PHASES


class Downloads:
    """The downloads of this run, each in a task of its own; `listeners` are called at each change."""

    def __init__(self, resolve: TargetResolver, pull: TargetPuller) -> None:
        self._resolve = resolve
        self._pull = pull
        self._states: dict[VariantKey, Download] = {}
        self._tasks: dict[VariantKey, asyncio.Task[None]] = {}
        self.listeners: list[Callable[[Download], None]] = []

    @property
    def states(self) -> Mapping[VariantKey, Download]:
        """All downloads of this run, the finished ones included."""
        return self._states

    @property
    def running(self) -> tuple[Download, ...]:
        """The downloads that continue by themselves."""
        return tuple(state for state in self._states.values() if state.is_running)

    def start(self, reference: ModelReference, key: VariantKey, total_bytes: int) -> None:
        """Start the download of a model, or resume it where it was paused or failed."""
        if key in self._tasks:
            return
        earlier = self._states.get(key)
        done_bytes = earlier.done_bytes if earlier else 0
        self._change(Download(reference, key, DownloadPhase.STARTING, done_bytes, total_bytes))
        task = self._tasks[key] = asyncio.create_task(self._run(reference, key), name=f"fetch {reference}")
        task.add_done_callback(partial(self._ended, key))

    def add_paused(
        self, reference: ModelReference, key: VariantKey, done_bytes: int, total_bytes: int
    ) -> None:
        """Add a download that an earlier run left, as paused, unless this run knows it already."""
        if key not in self._states:
            self._states[key] = Download(reference, key, DownloadPhase.PAUSED, done_bytes, total_bytes)

    async def pause(self, key: VariantKey) -> None:
        """Stop a download for now; the bytes that arrived stay on the disk."""
        if (task := self._tasks.get(key)) is not None:
            task.cancel()
            await asyncio.wait({task})

    async def discard(self, key: VariantKey) -> None:
        """Stop a download for good; the caller removes the bytes that arrived."""
        await self.pause(key)
        await asyncio.sleep(0)  # the task's callbacks have run then
        self._states.pop(key, None)

    async def close(self) -> None:
        """Pause all downloads."""
        for key in list(self._tasks):
            await self.pause(key)

    async def _run(self, reference: ModelReference, key: VariantKey) -> None:
        try:
            pulled = await self._pull(
                await self._resolve(reference), lambda event: self._apply_event(key, event)
            )
        except Qwen3ChatError as error:
            self._update(key, phase=DownloadPhase.FAILED, bytes_per_s=0.0, left_s=None, message=str(error))
        else:
            size_bytes = self._states[key].total_bytes
            self._update(
                key, phase=DownloadPhase.DONE, done_bytes=size_bytes, message="", path=Path(pulled.path)
            )

    def _ended(self, key: VariantKey, task: asyncio.Task[None]) -> None:
        """Forget a task that ended; one that was cancelled, perhaps before it began, leaves a pause."""
        del self._tasks[key]
        if not self._states[key].is_running:
            return
        error = None if task.cancelled() else task.exception()
        phase = DownloadPhase.FAILED if error else DownloadPhase.PAUSED
        self._update(key, phase=phase, bytes_per_s=0.0, left_s=None, message=repr(error) if error else "")

    def _apply_event(self, key: VariantKey, event: PullEvent) -> None:
        match event:
            case FileChecked(file=file):
                self._update(key, phase=DownloadPhase.CHECKING, message=t("pull.checking", file=file))
            case SourceAsked(source=source):
                self._update(key, message=t("pull.asking", host=source))
            case DownloadProgressed(done_bytes=done, total_bytes=total, bytes_per_s=speed, left_s=left_s):
                self._update(
                    key,
                    phase=DownloadPhase.RUNNING,
                    done_bytes=done,
                    total_bytes=total,
                    bytes_per_s=speed,
                    left_s=left_s,
                    message="",
                )
            case DownloadDelayed(reason=reason):
                self._update(key, phase=DownloadPhase.WAITING, message=reason)
            case CopyUsed(path=path):
                self._update(key, message=t("pull.copy", path=path))
            case ModelPulled():
                pass  # `_run` reports it when the task ends

    def _update(self, key: VariantKey, **changes: object) -> None:
        self._change(replace(self._states[key], **changes))  # type: ignore[arg-type]

    def _change(self, state: Download) -> None:
        self._states[state.key] = state
        for listen in tuple(self.listeners):
            listen(state)
